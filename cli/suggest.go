package cli

// nearest returns the word that a person most likely meant, or "" if none is
// close: at most two edits away, and fewer than half of its letters.
func nearest(typed string, words []string) string {
	best, distance := "", 3
	for _, w := range words {
		if d := edits(typed, w); d < distance && 2*d <= max(len(typed), len(w)) {
			best, distance = w, d
		}
	}
	return best
}

// edits returns how many letters must be inserted, deleted, replaced or swapped
// with their neighbour to turn a into b.
func edits(a, b string) int {
	// Rows of the Damerau–Levenshtein table: two before, one before, current.
	older, old, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		older, old, row = old, row, older
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
