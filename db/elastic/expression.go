package elastic

import (
	"strings"
	"unicode/utf8"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/dbvalue"
)

// maxAutomaton is how many bytes a prefix or an end of a range may have. From
// 1000 on Lucene says "input automaton is too large": it asks by recursion
// whether the automaton accepts finitely many texts. Of an expression with a
// loop near its start it learns soon that it doesn't.
const maxAutomaton = 900

// never is the first alternative of expressions that are long before they have
// a loop: it has one, and matches nothing, since no term begins with a NUL.
const never = "\x00.*|"

// expression returns a query by a regular expression of Lucene.
func expression(field, e string) object {
	return object{"regexp": object{field: object{
		"value": e, "flags": "NONE",
		"max_determinized_states": 5_000_000, // a thousand times the same letter takes half a million steps
	}}}
}

// literal returns an expression that matches s. Before a letter or digit a
// backslash would have a meaning.
func literal(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// compare finds the terms from low to high that compare with v, which is
// between them.
func compare(field string, op db.Operator, v, low, high string) object {
	word := ranges[op]
	less := op == db.OpLess || op == db.OpLessOrEqual
	span := func(word, end string) object {
		if less {
			return object{"range": object{field: object{"gte": low, word: end}}}
		}
		return object{"range": object{field: object{"lt": high, word: end}}}
	}
	if len(v) <= maxAutomaton {
		return span(word, v)
	}
	// What differs in the bytes that a range can have, and what does behind them.
	begin := cut(v, maxAutomaton)
	behind := expression(field, never+literal(begin)+tail([]rune(v[len(begin):]), op))
	if less {
		return anyOf(span("lt", begin), behind)
	}
	if next := successor(begin); next < high {
		return anyOf(span("gte", next), behind)
	}
	return behind
}

// tail returns an expression for the texts that compare with v.
func tail(v []rune, op db.Operator) string {
	e := map[db.Operator]string{db.OpLess: "", db.OpLessOrEqual: "()", db.OpGreater: ".+", db.OpGreaterOrEqual: ".*"}[op]
	for i := len(v) - 1; i >= 0; i-- {
		var list []string
		if op == db.OpLess || op == db.OpLessOrEqual {
			list = append(list, "()") // a text that ends here
			if v[i] > 0 {
				list = append(list, "[\x00-"+literal(string(previous(v[i])))+"].*")
			}
		} else if v[i] < utf8.MaxRune {
			list = append(list, "["+literal(successor(string(v[i])))+"-\U0010ffff].*")
		}
		if e != "" {
			list = append(list, literal(string(v[i]))+e)
		}
		e = "(" + strings.Join(list, "|") + ")"
	}
	return e
}

// previous skips what is no character of its own in UTF-8.
func previous(r rune) rune {
	if r == 0xe000 {
		return 0xd7ff
	}
	return r - 1
}

// cut returns the first bytes of a text, up to n.
func cut(s string, n int) string {
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// successor returns the least text above all that begins with a prefix.
func successor(prefix string) string {
	if next, ok := dbvalue.Successor(prefix); ok {
		return next
	}
	return string(utf8.MaxRune)
}
