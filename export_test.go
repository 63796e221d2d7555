package ward

import (
	"context"

	"github.com/ward-health/ward/abe"
)

// SealAttributeKey seals any key to its holder, as a forger can.
func SealAttributeKey(ctx context.Context, c *Client, key *abe.Key) ([]byte, error) {
	return c.sealAttributeKey(ctx, key)
}
