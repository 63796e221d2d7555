package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal returns both ends of a pseudo-terminal: what a person sees and types,
// and what a program has for its stderr.
func terminal(t *testing.T, columns uint16) (screen, program *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return screen, program
}

// shows runs fn with a program's end of a terminal and returns what it shows.
func shows(t *testing.T, columns uint16, fn func(*os.File)) string {
	t.Helper()
	screen, program := terminal(t, columns)
	done := make(chan string)
	go func() {
		b, _ := io.ReadAll(screen) // ends with an error when the other end is closed
		done <- string(b)
	}()
	fn(program)
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	return <-done
}

func TestProgressOnlyOnATerminal(t *testing.T) {
	work := func(u *ui) {
		b := u.bar("putting", 1000)
		b.add(400)
		b.done()
	}
	seen := shows(t, 80, func(tty *os.File) { work(newUI(io.Discard, tty)) })
	if !strings.Contains(seen, "putting") || !strings.Contains(seen, "/1.0 kB") {
		t.Errorf("a person sees %q", seen)
	}
	seen = shows(t, 80, func(tty *os.File) { u := newUI(io.Discard, tty); u.quiet = true; work(u) })
	if seen != "" {
		t.Errorf("--quiet shows %q", seen)
	}
	file, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	work(newUI(io.Discard, file))
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("a log holds %d bytes of progress, %v", info.Size(), err)
	}
}

func TestTablesFitTheTerminal(t *testing.T) {
	rows := [][]string{{"clinical/exam/lab", "1258", "糖化血红蛋白糖化血红蛋白糖化血红蛋白"}, {"clinical/allergy", "887", "Penicillin"}}
	seen := shows(t, 40, func(tty *os.File) { newUI(tty, io.Discard).table([]string{"TYPE", "BYTES", "TITLE"}, rows) })
	want := "" +
		"  TYPE               BYTES  TITLE\r\n" +
		"  clinical/exam/lab   1258  糖化血红蛋…\r\n" +
		"  clinical/allergy     887  Penicillin\r\n"
	if seen != want {
		t.Errorf("a narrow terminal shows\n%s\nwant\n%s", seen, want)
	}
}
