package dkg

// Faults returns f, the largest number of faulty members that n members
// tolerate: n ≥ 3f+1.
func Faults(n int) int { return (n - 1) / 3 }

// DefaultThreshold returns t = ⌊n/2⌋+1, the usual threshold of the identity
// key.
func DefaultThreshold(n int) int { return n/2 + 1 }

// checkpointThreshold returns t_c = ⌊(n+f)/2⌋+1: two sets of this size share an
// honest member, so that no two certified histories differ, and n−f members
// reach it.
func checkpointThreshold(n int) int { return (n+Faults(n))/2 + 1 }
