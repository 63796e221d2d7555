// Package ward is the privacy layer with which hospitals that do not fully
// trust each other share medical records the patient controls.
package ward
