package config

import "strings"

// nearest returns the field whose name is a slip of the pen away from key.
func nearest(key string, fields []field) string {
	plain := strings.NewReplacer("_", "", "-", "")
	best, least := "", 3
	for _, f := range fields {
		a, b := strings.ToLower(plain.Replace(key)), plain.Replace(f.name)
		if n := distance(a, b); n < least && n < len(b) {
			best, least = f.name, n
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
