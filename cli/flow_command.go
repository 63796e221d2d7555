package cli

import (
	urfave "github.com/urfave/cli/v2"
)

func (s *session) flowCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "flow",
		Usage: s.tr("processes that the consortium has agreed on"),
		Subcommands: []*urfave.Command{
			{
				Name: "check", Usage: s.tr("check a definition, without a chain"), ArgsUsage: s.tr("FILE"),
				Description: s.tr(`Says on which line and in which column something is wrong, if it is.

Examples:
  ward flow check referral.yaml`),
				Action: s.act(1, flowCheck),
			},
			{
				Name: "define", Usage: s.tr("propose a version of a definition, for a hospital"), ArgsUsage: s.tr("FILE"),
				Description: s.tr(`The hospital's node signs, and endorses with it. The version is in force when
enough hospitals have endorsed the same file. "prescription" instead of a file is
the definition that Ward brings along.

Examples:
  ward flow define referral.yaml --dir /var/lib/ward
  ward flow define prescription --dir /var/lib/ward`),
				Flags:  []urfave.Flag{s.hospitalFlag()},
				Action: s.act(1, flowDefine),
			},
			{
				Name: "endorse", Usage: s.tr("agree to a proposed version, for a hospital"), ArgsUsage: s.tr("FILE"),
				Description: s.tr(`FILE is the definition that the hospital agrees to: what others proposed is endorsed
only if it is the same, byte by byte.

Examples:
  ward flow endorse referral.yaml --dir /var/lib/ward`),
				Flags:  []urfave.Flag{s.hospitalFlag()},
				Action: s.act(1, flowEndorse),
			},
			{
				Name: "list", Usage: s.tr("list the workflows that you take part in, or definitions"),
				Description: s.tr(`Examples:
  ward flow list
  ward flow list --held
  ward flow list --definitions
  ward flow list --proposed --json`),
				Flags: s.userFlags(s.listFlag(),
					&urfave.BoolFlag{Name: "held", EnvVars: []string{"WARD_HELD"}, Usage: s.tr("those whose turn is yours")},
					&urfave.BoolFlag{Name: "owned", EnvVars: []string{"WARD_OWNED"}, Usage: s.tr("those that are about you")},
					&urfave.BoolFlag{Name: "definitions", EnvVars: []string{"WARD_DEFINITIONS"}, Usage: s.tr("definitions that are or were in force")},
					&urfave.BoolFlag{Name: "proposed", EnvVars: []string{"WARD_PROPOSED"}, Usage: s.tr("definitions that wait for endorsements")}),
				Action: s.act(0, flowList),
			},
			{
				Name: "show", Usage: s.tr("show a workflow with its proved history, or the text of a definition"), ArgsUsage: s.tr("ID|NAME"),
				Description: s.tr(`Of a workflow it fetches the receipt of every step and checks that it proves what the
step says. A regulator sees the steps without what was entered, and without proof.

Examples:
  ward flow show w-…
  ward flow show prescription > prescription.yaml`),
				Flags:  s.userFlags(s.versionFlag()),
				Action: s.act(1, flowShow),
			},
			{
				Name: "graph", Usage: s.tr("draw a definition, as Mermaid or SVG"), ArgsUsage: s.tr("FILE|NAME"),
				Description: s.tr(`Draws a file without a chain; a name, as it is in force.

Examples:
  ward flow graph referral.yaml
  ward flow graph prescription --svg -o prescription.svg`),
				Flags: s.userFlags(s.outputFlag("-"), s.forceFlag(), s.versionFlag(),
					&urfave.BoolFlag{Name: "svg", EnvVars: []string{"WARD_SVG"}, Usage: s.tr("a picture instead of Mermaid text")}),
				Action: s.act(1, flowGraph),
			},
			{
				Name: "start", Usage: s.tr("start a workflow"), ArgsUsage: s.tr("DEFINITION TRANSITION"),
				Description: s.tr(`Prints its id. --put writes a file as a record of the owner's, of the type that the
definition asks for.

Examples:
  ward flow start referral refer --owner p-7f3a@north --field urgency=soon --put letter=letter.pdf`),
				Flags:  s.userFlags(append(s.stepFlags(), &urfave.StringFlag{Name: "owner", EnvVars: []string{"WARD_OWNER"}, Usage: s.tr("whom it is about; else you")})...),
				Action: s.act(2, flowStart),
			},
			{
				Name: "step", Usage: s.tr("take a step of a workflow"), ArgsUsage: s.tr("ID TRANSITION"),
				Description: s.tr(`The step has an effect only if the workflow has not moved on since it was looked at.
TRANSITION "tick" takes the timers that are due.

Examples:
  ward flow step w-… accept --grant letter=g-…
  ward flow step w-… decline --field reason=full`),
				Flags:  s.userFlags(s.stepFlags()...),
				Action: s.act(2, flowStep),
			},
			{
				Name: "counters", Usage: s.tr("count workflows by state, and what is limited"), ArgsUsage: s.tr("DEFINITION"),
				Description: s.tr(`For regulators; what a counter has of you, or of your hospital, for you too.

Examples:
  ward flow counters prescription
  ward flow counters prescription --counter controlled --of p-7f3a@north`),
				Flags: s.userFlags(
					&urfave.StringFlag{Name: "org", EnvVars: []string{"WARD_ORG"}, Usage: s.tr("of one hospital only")},
					&urfave.StringFlag{Name: "since", EnvVars: []string{"WARD_SINCE"}, Value: "30d", Usage: s.tr("steps on this day or later")},
					&urfave.StringFlag{Name: "counter", EnvVars: []string{"WARD_COUNTER"}, Usage: s.tr("what this counter of the definition has counted")},
					&urfave.StringFlag{Name: "of", EnvVars: []string{"WARD_OF"}, Usage: s.tr("of whom, or of which hospital or workflow; else you")},
					&urfave.StringFlag{Name: "key", EnvVars: []string{"WARD_KEY"}, Usage: s.tr("for which key, if the counter has several")}),
				Action: s.act(1, flowCounters),
			},
		},
	}
}

func (s *session) versionFlag() urfave.Flag {
	return &urfave.UintFlag{Name: "of-version", EnvVars: []string{"WARD_OF_VERSION"}, Usage: s.tr("which version; else the newest in force"), DefaultText: "-"}
}

// stepFlags are what is entered with a transition.
func (s *session) stepFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "field", EnvVars: []string{"WARD_FIELD"}, Usage: s.tr("what is entered, as NAME=VALUE; may be given several times, for lists too")},
		&urfave.StringSliceFlag{Name: "record", EnvVars: []string{"WARD_RECORD"}, Usage: s.tr("a record for a place, as PLACE=ID; may be given several times")},
		&urfave.StringSliceFlag{Name: "put", EnvVars: []string{"WARD_PUT"}, Usage: s.tr("a file for a place, as PLACE=FILE: it is written as a record; may be given several times")},
		&urfave.StringSliceFlag{Name: "grant", EnvVars: []string{"WARD_GRANT"}, Usage: s.tr("a grant for what is in a place, as PLACE=ID; may be given several times")},
	}
}
