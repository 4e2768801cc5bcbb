package auth

import (
	"strings"
	"time"
)

// scalar is a comparable value without an interface, so that comparing doesn't
// allocate.
type scalar struct {
	kind byte // 0 none, 's' string, 'b' bool, 'i' int64, 'f' float64, 't' time, 'l' list of strings, 'a' list of any
	s    string
	i    int64
	f    float64
	t    time.Time
	l    []string
	a    []any
}

func scalarOf(v any) scalar {
	switch v := v.(type) {
	case string:
		return scalar{kind: 's', s: v}
	case bool:
		if v {
			return scalar{kind: 'b', i: 1}
		}
		return scalar{kind: 'b'}
	case int:
		return scalar{kind: 'i', i: int64(v)}
	case int32:
		return scalar{kind: 'i', i: int64(v)}
	case int64:
		return scalar{kind: 'i', i: v}
	case uint32:
		return scalar{kind: 'i', i: int64(v)}
	case float64:
		return scalar{kind: 'f', f: v}
	case time.Time:
		return scalar{kind: 't', t: v}
	case []string:
		return scalar{kind: 'l', l: v}
	case []any:
		return scalar{kind: 'a', a: v}
	}
	return scalar{}
}

// compare returns -1, 0 or 1; ok is false for values that have no order or are
// of different types. Whole and broken numbers compare with each other.
func (a scalar) compare(b scalar) (n int, ok bool) {
	sign := func(less, more bool) (int, bool) {
		switch {
		case less:
			return -1, true
		case more:
			return 1, true
		}
		return 0, true
	}
	switch {
	case a.kind == 's' && b.kind == 's':
		return strings.Compare(a.s, b.s), true
	case a.kind == 'i' && b.kind == 'i', a.kind == 'b' && b.kind == 'b':
		return sign(a.i < b.i, a.i > b.i)
	case a.kind == 't' && b.kind == 't':
		return a.t.Compare(b.t), true
	case a.kind == 'i' && b.kind == 'f':
		return sign(float64(a.i) < b.f, float64(a.i) > b.f)
	case a.kind == 'f' && b.kind == 'i':
		return sign(a.f < float64(b.i), a.f > float64(b.i))
	case a.kind == 'f' && b.kind == 'f' && a.f == a.f && b.f == b.f:
		return sign(a.f < b.f, a.f > b.f)
	case a.kind == 't' && b.kind == 's':
		if t, err := time.Parse(time.RFC3339, b.s); err == nil {
			return a.t.Compare(t), true
		}
	}
	return 0, false
}

// items are the elements of a list, or nothing of anything else.
func (a scalar) items() []scalar {
	var list []scalar
	for _, s := range a.l {
		list = append(list, scalar{kind: 's', s: s})
	}
	for _, v := range a.a {
		list = append(list, scalarOf(v))
	}
	return list
}

// holds reports whether a list holds v.
func (a scalar) holds(v scalar) (in, ok bool) {
	switch a.kind {
	case 'l':
		for _, s := range a.l {
			if n, same := v.compare(scalar{kind: 's', s: s}); same && n == 0 {
				return true, true
			}
		}
		return false, true
	case 'a':
		for _, e := range a.a {
			if n, same := v.compare(scalarOf(e)); same && n == 0 {
				return true, true
			}
		}
		return false, true
	}
	return false, false
}
