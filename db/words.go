package db

import (
	"slices"

	"github.com/micro/go-platform/internal/dbvalue"
)

// maxWords is how many words a Match has at most.
const maxWords = 16

// FullText declares an index over the words of the strings under keys, for Match.
// Adding it to a table that has records builds it, as an Index is built.
// ErrUnsupported is for backends whose Features.FullText is false.
func FullText(keys ...string) TableOption {
	return func(t *TableSpec) error {
		if len(keys) == 0 {
			return invalidf("full text of no keys")
		}
		for _, k := range keys {
			if err := checkKey(k); err != nil {
				return err
			}
		}
		t.FullText = slices.Compact(slices.Sorted(slices.Values(slices.Concat(t.FullText, keys))))
		if len(t.FullText) > maxIndexes {
			return tooLargef("full text of %d keys, limit %d", len(t.FullText), maxIndexes)
		}
		return nil
	}
}

// Match matches records whose key has a string with all of these words, 1 to 16
// of them, in any order. Words are runs of letters and digits, whatever their
// case; beyond ASCII, what a letter is and which case it has may differ between
// backends. The key has to be declared with FullText, or the search is
// ErrUnsupported.
func Match(key, words string) Filter { return Filter{Op: OpMatch, Key: key, Value: words} }

// hasWords is Filter.Match of OpMatch.
func hasWords(v any, query string) bool {
	text, ok := v.(string)
	if !ok {
		return false
	}
	there := dbvalue.Words(text)
	return !slices.ContainsFunc(dbvalue.Words(query), func(w string) bool { return !slices.Contains(there, w) })
}

// declared reports what of a filter needs a FullText that there is not.
func (f Filter) declared(t TableSpec) error {
	if f.Op == OpMatch && !slices.Contains(t.FullText, f.Key) {
		return unsupportedf("Match of %q: declare it with FullText", f.Key)
	}
	for _, s := range f.Filters {
		if err := s.declared(t); err != nil {
			return err
		}
	}
	return nil
}

// textIndex is the records of a table by the words under a key.
type textIndex struct {
	postings
	key string
}

func newTextIndex(key string) *textIndex {
	return &textIndex{newPostings(func(r *Record, f func(prefix []byte)) {
		text, _ := r.Metadata[key].(string)
		for _, w := range dbvalue.Words(text) {
			f(wordPrefix(w))
		}
	}), key}
}

// wordPrefix is what the entries of a word begin with.
func wordPrefix(word string) []byte { return appendPart(nil, []byte(word), false) }

// rarest is the way to the records with the rarest of the words.
func (x *textIndex) rarest(f Filter, q Query) access {
	var best access
	for i, w := range dbvalue.Words(f.Value.(string)) {
		a := x.access("match "+x.key, wordPrefix(w), q)
		if i == 0 || a.cost(len(q.Order)) < best.cost(len(q.Order)) {
			best = a
		}
	}
	return best
}
