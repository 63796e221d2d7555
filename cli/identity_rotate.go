package cli

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v2"
)

func identityRotate(ctx context.Context, s *session, c *urfave.Context) (any, error) {
	what, err := oneOf(c, "epoch", "custody", "custody-off")
	if err != nil {
		return nil, err
	}
	u, err := s.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.close()
	data := map[string]any{"name": u.Name()}
	switch what {
	case "epoch":
		if err := u.RaiseEpoch(ctx); err != nil {
			return nil, err
		}
		s.say("later records of %s are out of the reach of all grants made so far", u.Name())
		return data, nil
	case "custody-off":
		return data, s.leaveCustody(ctx, u)
	case "custody":
		version, err := u.TakeCustody(ctx)
		if err != nil {
			return nil, err
		}
		data["custody_version"] = version
		s.say("hospitals cannot open later records of %s without a key that only your wallet has", u.Name())
	default:
		if err := u.RotateKey(ctx); err != nil {
			return nil, err
		}
		data["key"] = u.wallet.Public()
		s.say("%s signs with a new key", u.Name())
	}
	s.next(s.tr("make a new copy: `ward wallet backup %s -o FILE`", u.Name()))
	return data, nil
}

// leaveCustody says what it costs to end self-custody, asks, and does it.
func (s *session) leaveCustody(ctx context.Context, u *user) error {
	for _, cost := range []string{
		s.tr("enough hospitals together can open what is written for you from now on, and emergencies do"),
		s.tr("what was written before opens with this wallet only: no hospital, emergency or recovery brings it back"),
		s.tr("your grants reach nothing of what is written from now on: make them again"),
	} {
		if !s.quiet && !s.json {
			fmt.Fprintf(s.stderr, "  %s\n", cost)
		}
	}
	if err := s.confirm(ctx, "Leave the key to the hospitals?"); err != nil {
		return err
	}
	if err := u.LeaveCustody(ctx); err != nil {
		return err
	}
	s.say("enough hospitals together can open later records of %s", u.Name())
	s.next(s.tr("keep copies of the wallet: `ward wallet backup %s -o FILE`", u.Name()))
	return nil
}
