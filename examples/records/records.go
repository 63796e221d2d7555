// Package records holds a few medical records to try Ward with, as hospitals
// have them: FHIR R4, CDA in English and Chinese, HL7 v2, DICOM and PDF. The
// patient and everybody else in them are made up, and what can carry a security
// label is labelled HTEST.
package records

import (
	"embed"
	"io/fs"
)

//go:embed files
var files embed.FS

// Files returns the records, one file each, without folders.
func Files() fs.FS {
	sub, err := fs.Sub(files, "files")
	if err != nil {
		panic(err) // "files" is a valid path
	}
	return sub
}
