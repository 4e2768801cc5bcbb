package auth

import (
	"slices"
	"strings"
)

// pattern is one compiled pattern of a rule.
type pattern struct {
	text    string
	literal bool
	any     bool
}

func compilePattern(s string) pattern {
	return pattern{text: s, literal: !strings.Contains(s, "*"), any: s == "*" || s == "**"}
}

func (p pattern) match(s string) bool {
	switch {
	case p.any:
		return true
	case p.literal:
		return p.text == s
	}
	return glob(p.text, s)
}

// prefix is the literal beginning of a pattern.
func (p pattern) prefix() string {
	head, _, _ := strings.Cut(p.text, "*")
	return head
}

// glob matches with two places to go back to, the last * and the last **, so
// that its time is bounded by the product of the lengths.
func glob(p, s string) bool {
	const none = -1
	i, j := 0, 0            // in p and s
	star, starAt := none, 0 // after the last *, and where in s it stopped
	deep, deepAt := none, 0 // the same of the last **
	for j < len(s) || i < len(p) {
		if i < len(p) && p[i] == '*' {
			if i+1 < len(p) && p[i+1] == '*' {
				for i < len(p) && p[i] == '*' {
					i++
				}
				deep, deepAt, star = i, j, none // what came before need not be tried again
				continue
			}
			i++
			star, starAt = i, j
			continue
		}
		if i < len(p) && j < len(s) && p[i] == s[j] {
			i++
			j++
			continue
		}
		switch {
		case star != none && starAt < len(s) && s[starAt] != '/':
			starAt++
			i, j = star, starAt
		case deep != none && deepAt < len(s):
			deepAt++
			i, j, star = deep, deepAt, none
		default:
			return false
		}
	}
	return true
}

func anyMatch(ps []pattern, s string) bool {
	return len(ps) == 0 || slices.ContainsFunc(ps, func(p pattern) bool { return p.match(s) })
}
