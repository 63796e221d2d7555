package cli

import (
	"context"
	"io"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/cli/sniff"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/fhir"
	"github.com/ward-health/ward/prescription"
)

func rxAllow(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	if c.String("to") == "" {
		return nil, usagef("flag %s needs a value", "--to").withHint("names look like dr.lee@east: lower case, then @ and the hospital")
	}
	to, err := parseName(c.String("to"))
	if err != nil {
		return nil, err
	}
	id, err := prescriptionID(c)
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	grant, err := prescription.Allow(ctx, u.Client, id, to)
	if err != nil {
		return nil, err
	}
	if s.quiet {
		s.say("%s", string(grant))
	} else {
		s.say("grant %s: %s may read the prescription while it is in his hands", grant, to)
	}
	return map[string]any{"id": id, "grant": grant, "to": to}, nil
}

func rxReview(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	end, err := oneOf(c, "approve", "return", "reject")
	if err != nil {
		return nil, err
	}
	return s.rxStep(ctx, c, func(u *user, id workflow.ID) error {
		switch end {
		case "approve":
			return prescription.Approve(ctx, u.Client, id)
		case "return":
			return prescription.Return(ctx, u.Client, id, c.String(end))
		case "reject":
			return prescription.Reject(ctx, u.Client, id, c.String(end))
		}
		return prescription.Review(ctx, u.Client, id)
	})
}

func rxRead(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	id, err := prescriptionID(c)
	if err != nil {
		return nil, err
	}
	purpose, err := parsePurpose("purpose", c.String("purpose"))
	if err != nil {
		return nil, err
	}
	obligations, err := parseObligations("accept", c.StringSlice("accept"))
	if err != nil {
		return nil, err
	}
	path := c.String("output")
	if s.json && (path == "" || path == "-") {
		return nil, usagef("stdout cannot hold a file and JSON both").withHint("name a file with --output, or leave out --json")
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	p := ward.Purpose{Code: purpose, Reason: c.String("reason"), Obligations: obligations}
	if path == "" || path == "-" {
		e, err := prescription.Read(ctx, u.Client, id, p, s.stdout)
		if err != nil {
			return nil, err
		}
		s.tookOn(obligations)
		return recordOf(e, true), nil
	}
	var e *ward.Entry
	err = s.saveFile(path, c.Bool("force"), func(w io.Writer) (err error) {
		e, err = prescription.Read(ctx, u.Client, id, p, w)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.tookOn(obligations)
	s.say("%s: %s, %s", path, e.Title, sizeText(e.Size))
	data := recordOf(e, true)
	data.Path = path
	return data, nil
}

// rxOffer offers or transfers a prescription to a pharmacy.
func rxOffer(transfer bool) action {
	return func(ctx context.Context, s *session, c *urfave.Context) (any, error) {
		where, err := oneOf(c, "to", "open")
		if err != nil {
			return nil, err
		}
		var pharmacy identity.Name
		switch where {
		case "":
			return nil, usagef("flag %s needs a value", "--to").withHint("--open leaves it to any pharmacy")
		case "to":
			if pharmacy, err = parseName(c.String("to")); err != nil {
				return nil, err
			}
		}
		return s.rxStep(ctx, c, func(u *user, id workflow.ID) error {
			if transfer {
				return prescription.Transfer(ctx, u.Client, id, pharmacy)
			}
			return prescription.Offer(ctx, u.Client, id, pharmacy)
		})
	}
}

func rxClaim(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	return s.rxStep(ctx, c, func(u *user, id workflow.ID) error {
		if reason := c.String("decline"); reason != "" {
			return prescription.Decline(ctx, u.Client, id, reason)
		}
		return prescription.Claim(ctx, u.Client, id)
	})
}

func rxDispense(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	f := prescription.Fill{Substituted: c.String("substituted"), Packs: c.StringSlice("pack")}
	var err error
	if v := c.String("quantity"); v != "" {
		if f.Quantity, err = fhir.ParseQuantity(v); err != nil || f.Quantity == 0 {
			return nil, usagef("flag %s: %q is no quantity", "--quantity", v)
		}
	}
	if path := c.String("record"); path != "" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		f.Record, f.MediaType = file, sniff.Of(path, nil).MediaType
	}
	return s.rxStep(ctx, c, func(u *user, id workflow.ID) error {
		return prescription.Dispense(ctx, u.Client, id, f)
	})
}

func rxDeliver(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	var courier identity.Name
	if v := c.String("courier"); v != "" {
		var err error
		if courier, err = parseName(v); err != nil {
			return nil, err
		}
	}
	return s.rxStep(ctx, c, func(u *user, id workflow.ID) error {
		if courier != "" {
			return prescription.Send(ctx, u.Client, id, courier)
		}
		i, err := u.FlowState(ctx, id)
		if err != nil {
			return err
		}
		if i.Owner == u.Name() || i.Owner == u.Owner() {
			return prescription.Receive(ctx, u.Client, id)
		}
		return prescription.Deliver(ctx, u.Client, id)
	})
}

func rxRepeat(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	return s.rxStep(ctx, c, func(u *user, id workflow.ID) error { return prescription.Repeat(ctx, u.Client, id) })
}

func rxCancel(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	return s.rxStep(ctx, c, func(u *user, id workflow.ID) error {
		return prescription.Cancel(ctx, u.Client, id, c.String("reason"))
	})
}

func rxShow(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	id, err := prescriptionID(c)
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	return s.showFlow(ctx, u, id)
}

func rxSupervise(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	if state := c.String("state"); state != "" {
		if state == "all" {
			state = ""
		}
		return s.listFlows(ctx, c, u, u.Supervise(ctx, prescription.Definition, state))
	}
	d, _, err := u.definition(ctx, prescription.Definition, 0)
	if err != nil {
		return nil, err
	}
	return s.counts(ctx, c, u, d)
}
