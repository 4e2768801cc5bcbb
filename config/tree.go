package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/strictjson"
)

// tree is a checked, immutable value. Snapshots share subtrees.
type tree struct {
	kind    Kind
	flag    bool // of Bool its value; of Number: i holds it exactly
	secret  bool // it came from a reference, or from a part that is secret
	line    int32
	column  int32
	i       int64
	f       float64
	text    string // as in Node
	members []branch
	items   []*tree
	from    *provenance
}

// branch is one key of an object; a tree's branches are sorted by key.
type branch struct {
	key string
	val *tree
}

// provenance is what all values of one part have in common.
type provenance struct {
	source   string
	part     string
	revision string
}

var emptyObject = &tree{kind: Object}

// seal checks a node that a driver gave, whatever its format, and copies it.
func seal(n *Node, from *provenance) (*tree, error) {
	s := sealer{from: from}
	t, err := s.seal(n, 0)
	if err != nil {
		return nil, err
	}
	return t, nil
}

type sealer struct {
	from  *provenance
	count int
	slab  []tree // to be handed out: one allocation for many trees
}

func (s *sealer) tree() *tree {
	if len(s.slab) == 0 {
		s.slab = make([]tree, min(64, 2*s.count)) // grows with the document
	}
	t := &s.slab[0]
	s.slab = s.slab[1:]
	return t
}

func (s *sealer) seal(n *Node, depth int) (*tree, error) {
	if n == nil {
		return nil, &SyntaxError{Problem: "no value"}
	}
	if depth > maxDepth {
		return nil, s.fail(n, "nested deeper than %d levels", maxDepth)
	}
	s.count++
	if s.count > maxNodes {
		return nil, s.fail(n, "more than %d values", maxNodes)
	}
	t := s.tree()
	t.kind, t.line, t.column, t.from = n.Kind, int32(n.Line), int32(n.Column), s.from
	switch n.Kind {
	case Null:
	case Bool:
		t.flag = n.Bool
	case Number:
		return t, s.number(n, t)
	case String, Text:
		if !utf8.ValidString(n.Text) {
			return nil, s.fail(n, "text is not valid UTF-8")
		}
		t.text = n.Text
	case Array:
		t.items = make([]*tree, len(n.Items))
		for i, item := range n.Items {
			var err error
			t.items[i], err = s.seal(item, depth+1)
			if err != nil {
				return nil, err
			}
		}
	case Object:
		return t, s.object(n, t, depth)
	default:
		return nil, s.fail(n, "unknown kind %d of value", n.Kind)
	}
	return t, nil
}

func (s *sealer) object(n *Node, t *tree, depth int) error {
	t.members = make([]branch, len(n.Members))
	for i, m := range n.Members {
		if m.Key == "" {
			return s.fail(m.Value, "empty key")
		}
		if !utf8.ValidString(m.Key) {
			return s.fail(m.Value, "key %q is not valid UTF-8", m.Key)
		}
		v, err := s.seal(m.Value, depth+1)
		if err != nil {
			return err
		}
		t.members[i] = branch{m.Key, v}
	}
	byKey := func(a, b branch) int { return strings.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(t.members, byKey) {
		slices.SortStableFunc(t.members, byKey)
	}
	for i := 1; i < len(t.members); i++ {
		if a, b := t.members[i-1], t.members[i]; a.key == b.key {
			problem := fmt.Sprintf("duplicate key %q", b.key)
			if a.val.line > 0 && a.val.line != b.val.line {
				problem += fmt.Sprintf(", first on line %d", a.val.line)
			}
			return &SyntaxError{Line: int(b.val.line), Column: int(b.val.column), Problem: problem}
		}
	}
	return nil
}

// number accepts what JSON does and nothing that JSON can't say: no NaN, no
// infinity.
func (s *sealer) number(n *Node, t *tree) error {
	t.text = n.Text
	if !strictjson.ValidNumber(n.Text) {
		return s.fail(n, "not a number that JSON can hold")
	}
	if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil {
		t.i, t.f, t.flag = i, float64(i), true
		return nil
	}
	f, err := strconv.ParseFloat(n.Text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return s.fail(n, "number out of range")
	}
	t.f = f
	return nil
}

func (s *sealer) fail(n *Node, format string, args ...any) error {
	e := &SyntaxError{Problem: fmt.Sprintf(format, args...)}
	if n != nil {
		e.Line, e.Column = n.Line, n.Column
	}
	return e
}

// child returns the member of an object or the item of an array, or nil.
func (t *tree) child(key string) *tree {
	switch t.kind {
	case Object:
		if len(t.members) <= 8 {
			for i := range t.members {
				if t.members[i].key == key {
					return t.members[i].val
				}
			}
			return nil
		}
		if i, ok := t.member(key); ok {
			return t.members[i].val
		}
	case Array:
		if i, ok := index(key); ok && i < len(t.items) {
			return t.items[i]
		}
	}
	return nil
}

// member returns where the member of an object is, or where it would be.
func (t *tree) member(key string) (i int, found bool) {
	return slices.BinarySearchFunc(t.members, key, func(b branch, key string) int { return strings.Compare(b.key, key) })
}

// index reads the key of an item: "1", and no other text for it.
func index(key string) (i int, ok bool) {
	i, err := strconv.Atoi(key)
	return i, err == nil && i >= 0 && strconv.Itoa(i) == key
}

// walk follows a path, or returns nil.
func (t *tree) walk(path string) *tree {
	for more := path != ""; more && t != nil; {
		var key string
		key, path, more = nextKey(path)
		t = t.child(key)
	}
	return t
}

// conceal marks all values of a tree that nobody shares yet as secret.
func (t *tree) conceal() {
	switch t.kind {
	case Object:
		for _, m := range t.members {
			m.val.conceal()
		}
	case Array:
		for _, item := range t.items {
			item.conceal()
		}
	default:
		t.secret = true
	}
}

// concealed reports whether a value of the tree is marked.
func (t *tree) concealed() bool {
	return t.secret || slices.ContainsFunc(t.items, (*tree).concealed) ||
		slices.ContainsFunc(t.members, func(m branch) bool { return m.val.concealed() })
}

// same reports whether two trees hold the same values, wherever they came from.
func same(a, b *tree) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a.kind != b.kind {
		return false
	}
	switch a.kind {
	case Bool:
		return a.flag == b.flag
	case Number, String, Text:
		return a.text == b.text
	case Array:
		return slices.EqualFunc(a.items, b.items, same)
	case Object:
		return slices.EqualFunc(a.members, b.members, func(x, y branch) bool { return x.key == y.key && same(x.val, y.val) })
	}
	return true
}

func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
