package workflow_test

import (
	"testing"

	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/contract/workflow/library"
)

// BenchmarkCompile compiles the prescription, and the definition that is dearest
// to compile of all that the limits allow. It happens once for a definition, not
// for a step.
func BenchmarkCompile(b *testing.B) {
	for name, yaml := range map[string][]byte{"prescription": library.Prescription(), "largest": largest()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := workflow.Compile(yaml); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
