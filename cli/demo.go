package cli

import (
	"context"

	urfave "github.com/urfave/cli/v2"
)

func (s *session) demo() *urfave.Command {
	return &urfave.Command{
		Name:  "demo",
		Usage: s.tr("four hospitals, a patient, doctors and records, all on this machine"),
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "data", EnvVars: []string{"WARD_DEMO_DATA"}, Usage: s.tr("also put every file of this folder as a record and read it back")},
		},
		Action: s.act(0, func(ctx context.Context, s *session, c *urfave.Context) (any, error) { return nil, nil }),
	}
}
