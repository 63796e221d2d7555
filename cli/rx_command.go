package cli

import (
	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/contract/consent"
)

func (s *session) rxCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "rx",
		Usage: s.tr("electronic prescriptions"),
		Subcommands: []*urfave.Command{
			{
				Name: "issue", Usage: s.tr("prescribe, as a physician"), ArgsUsage: s.tr("[FILE]"),
				Description: s.tr(`FILE is a FHIR document, JSON or XML, of any country; each of its items becomes a
prescription, and the document is kept byte by byte. Without a file the flags say
what is prescribed. Prints the id of each prescription.

Examples:
  ward rx issue --patient p-7f3a@north --drug "Amoxicillin 500 mg" --quantity 20 --unit capsule --days 28
  ward rx issue order.json --patient p-7f3a@north`),
				Flags:  s.userFlags(s.orderFlags(&urfave.StringFlag{Name: "patient", EnvVars: []string{"WARD_PATIENT"}, Usage: s.tr("for whom")})...),
				Action: s.act(1, rxIssue),
			},
			{
				Name: "amend", Usage: s.tr("replace a prescription that was returned"), ArgsUsage: s.tr("ID [FILE]"),
				Description: s.tr(`Examples:
  ward rx amend w-… --drug "Amoxicillin 500 mg" --quantity 30 --unit capsule`),
				Flags:  s.userFlags(s.orderFlags()...),
				Action: s.act(2, rxAmend),
			},
			{
				Name: "allow", Usage: s.tr("let somebody read your prescription while it is in his hands"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`A grant on this one prescription: for the pharmacist who is to review it, or for the
pharmacy that claimed one that was open to all.

Examples:
  ward rx allow w-… --to li@north`),
				Flags:  s.userFlags(&urfave.StringFlag{Name: "to", EnvVars: []string{"WARD_TO"}, Usage: s.tr("who may read")}),
				Action: s.act(1, rxAllow),
			},
			{
				Name: "review", Usage: s.tr("review a prescription, as a pharmacist of the hospital"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Takes it up: from then on you may read it. With --approve, --return or --reject it
ends the review. Reasons are dose, interaction, allergy, duplicate, incomplete,
contraindication, indication, patient, stock, error and other.

Examples:
  ward rx review w-…
  ward rx review w-… --approve
  ward rx review w-… --return dose`),
				Flags: s.userFlags(
					&urfave.BoolFlag{Name: "approve", EnvVars: []string{"WARD_APPROVE"}, Usage: s.tr("it is right")},
					&urfave.StringFlag{Name: "return", EnvVars: []string{"WARD_RETURN"}, Usage: s.tr("give it back to the physician, for this reason")},
					&urfave.StringFlag{Name: "reject", EnvVars: []string{"WARD_REJECT"}, Usage: s.tr("end it, for this reason")}),
				Action: s.act(1, rxReview),
			},
			{
				Name: "read", Usage: s.tr("read the document of a prescription that is yours or in your hands"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`An access as ward record get makes it: it is put on the chain first.

Examples:
  ward rx read w-… -o prescription.json --reason "review"`),
				Flags: s.userFlags(s.outputFlag(""), s.forceFlag(),
					&urfave.StringSliceFlag{Name: "accept", EnvVars: []string{"WARD_ACCEPT"}, Usage: s.tr("what you take on: all codes of the grant's obligations, with commas between them")},
					&urfave.StringFlag{Name: "purpose", EnvVars: []string{"WARD_PURPOSE"}, Value: string(consent.Treatment), Usage: s.tr("why: a code of HL7 v3 PurposeOfUse")},
					&urfave.StringFlag{Name: "reason", EnvVars: []string{"WARD_REASON"}, Usage: s.tr("why, in words that only the owner reads; other users of the machine see them while it runs")}),
				Action: s.act(1, rxRead),
			},
			{
				Name: "offer", Usage: s.tr("choose a pharmacy for your prescription"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`The pharmacy reads it from now on, until it goes elsewhere. --open leaves it to any
pharmacy that claims it.

Examples:
  ward rx offer w-… --to green@south`),
				Flags:  s.userFlags(s.pharmacyFlags()...),
				Action: s.act(1, rxOffer(false)),
			},
			{
				Name: "transfer", Usage: s.tr("take your prescription to another pharmacy"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Also one that was dispensed in part: the rest goes along.

Examples:
  ward rx transfer w-… --to blue@west`),
				Flags:  s.userFlags(s.pharmacyFlags()...),
				Action: s.act(1, rxOffer(true)),
			},
			{
				Name: "claim", Usage: s.tr("take a prescription, as a pharmacy"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`One pharmacy can. --decline gives it back to the patient instead, for a reason.

Examples:
  ward rx claim w-…
  ward rx claim w-… --decline stock`),
				Flags:  s.userFlags(&urfave.StringFlag{Name: "decline", EnvVars: []string{"WARD_DECLINE"}, Usage: s.tr("give it back, for this reason")}),
				Action: s.act(1, rxClaim),
			},
			{
				Name: "dispense", Usage: s.tr("hand out what is prescribed, or a part of it"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`All that is left, unless --quantity says how much. The serial number of a pack is
dispensed once in the whole consortium. FILE with --record describes what was
handed out, sealed.

Examples:
  ward rx dispense w-… --pack 0104012345-77
  ward rx dispense w-… --quantity 10 --substituted generic`),
				Flags: s.userFlags(
					&urfave.StringFlag{Name: "quantity", EnvVars: []string{"WARD_QUANTITY"}, Usage: s.tr("how much; else all that is left")},
					&urfave.StringFlag{Name: "substituted", EnvVars: []string{"WARD_SUBSTITUTED"}, Usage: s.tr("why another product: generic, shortage or formulary")},
					&urfave.StringSliceFlag{Name: "pack", EnvVars: []string{"WARD_PACK"}, Usage: s.tr("the serial number of a pack; may be given several times")},
					&urfave.StringFlag{Name: "record", EnvVars: []string{"WARD_RECORD"}, Usage: s.tr("a file that describes what was handed out")}),
				Action: s.act(1, rxDispense),
			},
			{
				Name: "deliver", Usage: s.tr("hand over what was dispensed, or say that you have it"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`By the pharmacy or the courier; by the patient it confirms the receipt. --courier
hands it to a courier first.

Examples:
  ward rx deliver w-… --courier rider@south
  ward rx deliver w-…`),
				Flags:  s.ownerFlags(&urfave.StringFlag{Name: "courier", EnvVars: []string{"WARD_COURIER"}, Usage: s.tr("who brings it")}),
				Action: s.act(1, rxDeliver),
			},
			{
				Name: "repeat", Usage: s.tr("ask for the next fill of your prescription"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Examples:
  ward rx repeat w-…`),
				Flags:  s.ownerFlags(),
				Action: s.act(1, rxRepeat),
			},
			{
				Name: "cancel", Usage: s.tr("end a prescription; what was handed out of it stays counted"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`By the physician or the patient, before a pharmacy has claimed it; by the pharmacy
that dispensed it, which takes it back.

Examples:
  ward rx cancel w-… --reason error`),
				Flags:  s.userFlags(&urfave.StringFlag{Name: "reason", EnvVars: []string{"WARD_REASON"}, Value: "patient", Usage: s.tr("why, a code as in ward rx review")}),
				Action: s.act(1, rxCancel),
			},
			{
				Name: "show", Usage: s.tr("show a prescription with its proved history"), ArgsUsage: s.tr("ID"),
				Description: s.tr(`Examples:
  ward rx show w-…`),
				Flags:  s.userFlags(),
				Action: s.act(1, rxShow),
			},
			{
				Name: "supervise", Usage: s.tr("count prescriptions, as a regulator, or list them"),
				Description: s.tr(`States, parties and counts of all hospitals; what is prescribed stays closed.

Examples:
  ward rx supervise
  ward rx supervise --state dispensed-partly --ndjson`),
				Flags: s.userFlags(s.listFlag(),
					&urfave.StringFlag{Name: "state", EnvVars: []string{"WARD_STATE"}, Usage: s.tr("list those in this state; all, for every one")},
					&urfave.StringFlag{Name: "org", EnvVars: []string{"WARD_ORG"}, Usage: s.tr("of one hospital only")},
					&urfave.StringFlag{Name: "since", EnvVars: []string{"WARD_SINCE"}, Value: "30d", Usage: s.tr("steps on this day or later")}),
				Action: s.act(0, rxSupervise),
			},
		},
	}
}

// orderFlags say what is prescribed.
func (s *session) orderFlags(own ...urfave.Flag) []urfave.Flag {
	return append(own,
		&urfave.StringFlag{Name: "drug", EnvVars: []string{"WARD_DRUG"}, Usage: s.tr("what, in words; sealed")},
		&urfave.StringFlag{Name: "code", EnvVars: []string{"WARD_CODE"}, Usage: s.tr("its code as SYSTEM|CODE, such as http://www.whocc.no/atc|J01CA04; sealed")},
		&urfave.StringFlag{Name: "dosage", EnvVars: []string{"WARD_DOSAGE"}, Usage: s.tr("how to take it; sealed")},
		&urfave.StringFlag{Name: "quantity", EnvVars: []string{"WARD_QUANTITY"}, Usage: s.tr("how much of it, of one fill")},
		&urfave.StringFlag{Name: "unit", EnvVars: []string{"WARD_UNIT"}, Usage: s.tr("of the quantity, such as tablet; sealed")},
		&urfave.UintFlag{Name: "repeats", EnvVars: []string{"WARD_REPEATS"}, Usage: s.tr("how many fills after the first"), DefaultText: "0"},
		&urfave.UintFlag{Name: "interval", EnvVars: []string{"WARD_INTERVAL"}, Usage: s.tr("days between two fills"), DefaultText: "0"},
		&urfave.UintFlag{Name: "days", EnvVars: []string{"WARD_DAYS"}, Usage: s.tr("how many days it is valid; else 30, of narcotics 3"), DefaultText: "-"},
		&urfave.StringFlag{Name: "schedule", EnvVars: []string{"WARD_SCHEDULE"}, Usage: s.tr("how it is controlled: none, psychotropic-2, psychotropic-1 or narcotic")},
		&urfave.BoolFlag{Name: "substitution", EnvVars: []string{"WARD_SUBSTITUTION"}, Usage: s.tr("another product may be dispensed")})
}

func (s *session) pharmacyFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "to", EnvVars: []string{"WARD_TO"}, Usage: s.tr("which pharmacy")},
		&urfave.BoolFlag{Name: "open", EnvVars: []string{"WARD_OPEN"}, Usage: s.tr("any pharmacy")},
	}
}
