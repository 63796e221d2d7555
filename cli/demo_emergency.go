package cli

import "context"

func (s *story) breakGlass(ctx context.Context) error { return nil }
