package consent

import "slices"

// An Obligation is a code of HL7 v3 ObligationPolicy or RefrainPolicy
// (ActCode), such as "DELAU": what a reader must do, or must not, with what it
// read. Nothing can enforce it; an access that does not name all those of its
// grant is refused, so that every reader has signed them.
type Obligation string

// obligations are the codes that the contract knows, with what they ask of a
// reader. SPEC.md has the same table. It is never changed. Part of the rules.
var obligations = map[Obligation]string{
	"ANONY":       "make the information anonymous before any use of it",
	"CPLYCC":      "handle it as its confidentiality code asks for",
	"CPLYCD":      "comply with the patient's consent directive",
	"CPLYPOL":     "comply with the policy of the organisation that gave the information",
	"DEID":        "remove what identifies the patient before any use of it",
	"DELAU":       "delete the information after use",
	"ENCRYPT":     "keep and send the information encrypted",
	"MINEC":       "use no more of the information than the purpose needs",
	"PRIVMARK":    "keep the privacy mark visible on everything derived from the information",
	"PSEUD":       "replace what identifies the patient by a pseudonym before any use of it",
	"NOAUTH":      "do not disclose it without the authorisation of the person it is about",
	"NOCOLLECT":   "do not collect or store it",
	"NODSCLCD":    "do not disclose it without a consent directive of the patient",
	"NOINTEGRATE": "do not merge it into other records",
	"NOPAT":       "do not show it to the patient, family or carers without the word of the attending physician",
	"NOPERSISTP":  "do not keep it for longer than the purpose takes",
	"NORDSCLCD":   "do not pass it on without a consent directive of the patient",
	"NORDSCLW":    "do not pass it on without an authorisation by law",
	"NORELINK":    "do not link it to the patient again",
	"NOREUSE":     "do not use it for another purpose",
	"ORCON":       "do not disclose it without the word of who wrote it",
}

// Valid reports whether the contract knows the code.
func (o Obligation) Valid() bool {
	_, ok := obligations[o]
	return ok
}

// Words says what the code asks of a reader, in English; "" if it is none.
func (o Obligation) Words() string { return obligations[o] }

// Obligations returns all codes, ascending.
func Obligations() []Obligation {
	var list []Obligation
	for o := range obligations {
		list = append(list, o)
	}
	slices.Sort(list)
	return list
}
