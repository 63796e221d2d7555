package abe

// Part returns what of the policy one authority's keys can satisfy, which is
// all that [Key.OpenHalf] looks at, or nil if the policy does not name the
// authority. It fails with a [*SyntaxError] if the policy joins authorities with
// anything but "or": nothing can be sealed to such a policy.
//
// A whole policy is not to be evaluated for a person of one authority: whoever
// has no attributes at another satisfies each "not" about it.
func (p *Policy) Part(authority string) (*Policy, error) {
	parts, err := p.split()
	if err != nil {
		return nil, err
	}
	part, ok := parts[authority]
	if !ok {
		return nil, nil
	}
	return &Policy{part}, nil
}
