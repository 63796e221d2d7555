// Package fhir is the edge to HL7 FHIR R4. Ward keeps documents as they come, byte
// by byte; this package writes the few resources that Ward makes itself, and reads
// from others' the few things that Ward counts. It has no model of FHIR.
package fhir
