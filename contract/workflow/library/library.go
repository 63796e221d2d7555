// Package library holds definitions for package workflow that a consortium can
// take as they are.
package library

import _ "embed"

//go:embed prescription.yaml
var prescription string

// Prescription returns the definition of electronic prescriptions: issue, review,
// circulation, dispensing, delivery and their supervision.
func Prescription() []byte { return []byte(prescription) }
