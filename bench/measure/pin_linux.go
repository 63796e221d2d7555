package measure

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Pin ties the whole process, and the processes it starts from then on, to the
// last processor that it may use, and runs Go code on one thread at a time. It
// returns which processor that is and a function that undoes it.
func Pin() (processor int, undo func() error, err error) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return 0, nil, fmt.Errorf("read processors of the process: %w", err)
	}
	processor = -1
	for i := range 1024 {
		if before.IsSet(i) {
			processor = i
		}
	}
	var one unix.CPUSet
	one.Set(processor)
	if err := setAll(&one); err != nil {
		return 0, nil, err
	}
	procs := runtime.GOMAXPROCS(1)
	return processor, func() error {
		runtime.GOMAXPROCS(procs)
		return setAll(&before)
	}, nil
}

// setAll sets the processors of all threads. It goes over them twice, for those
// that threads not yet tied down started meanwhile.
func setAll(set *unix.CPUSet) error {
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				continue
			}
			if err := unix.SchedSetaffinity(id, set); err != nil && err != unix.ESRCH {
				return fmt.Errorf("tie thread to a processor: %w", err)
			}
		}
	}
	return nil
}
