package auth

import (
	"cmp"
	"math"
	"strings"
	"time"
)

// scalar is a comparable value without an interface, so that comparing doesn't
// allocate.
type scalar struct {
	kind byte // 0 none, 's' string, 'b' bool, 'i' int64, 'f' float64, 't' time, 'l' list of strings, 'a' list of any, '?' something else
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
	case nil:
		return scalar{}
	}
	return scalar{kind: '?'} // it is there, and compares with nothing
}

// single reports whether a is one value that can be compared.
func (a scalar) single() bool { return strings.IndexByte("sbift", a.kind) >= 0 }

// compare returns -1, 0 or 1; ok is false for values that have no order or are
// of different types. Whole and broken numbers compare with each other, and
// times with strings that are times.
func (a scalar) compare(b scalar) (n int, ok bool) {
	switch {
	case a.kind == 's' && b.kind == 's':
		return strings.Compare(a.s, b.s), true
	case a.kind == 'i' && b.kind == 'i', a.kind == 'b' && b.kind == 'b':
		return cmp.Compare(a.i, b.i), true
	case a.kind == 't' && b.kind == 't':
		return a.t.Compare(b.t), true
	case a.kind == 'f' && a.f != a.f, b.kind == 'f' && b.f != b.f: // NaN
		return 0, false
	case a.kind == 'f' && b.kind == 'f':
		return cmp.Compare(a.f, b.f), true
	case a.kind == 'i' && b.kind == 'f':
		return compareNumbers(a.i, b.f), true
	case a.kind == 'f' && b.kind == 'i':
		return -compareNumbers(b.i, a.f), true
	case a.kind == 't' && b.kind == 's':
		if t, err := time.Parse(time.RFC3339, b.s); err == nil {
			return a.t.Compare(t), true
		}
	case a.kind == 's' && b.kind == 't':
		if t, err := time.Parse(time.RFC3339, a.s); err == nil {
			return t.Compare(b.t), true
		}
	}
	return 0, false
}

// compareNumbers compares exactly: a float64 does not hold every int64.
func compareNumbers(i int64, f float64) int {
	switch whole := math.Floor(f); {
	case whole >= 1<<63:
		return -1
	case whole < -1<<63:
		return 1
	case i != int64(whole):
		return cmp.Compare(i, int64(whole))
	case f > whole:
		return -1
	}
	return 0
}

// items are the elements of a list, or nothing of anything else.
func (a scalar) items() []scalar {
	var list []scalar
	for i := range len(a.l) + len(a.a) {
		list = append(list, a.at(i))
	}
	return list
}

// at is the ith element of a list.
func (a *scalar) at(i int) scalar {
	if a.kind == 'l' {
		return scalar{kind: 's', s: a.l[i]}
	}
	return scalarOf(a.a[i])
}

// holds reports whether a list holds v. ok is false if there is no answer: a is
// no list, v no single value, or nothing in the list compares with v.
func (a scalar) holds(v scalar) (in, ok bool) {
	if a.kind != 'l' && a.kind != 'a' || !v.single() {
		return false, false
	}
	size := len(a.l) + len(a.a)
	ok = size == 0
	for i := range size {
		n, same := v.compare(a.at(i))
		if same && n == 0 {
			return true, true
		}
		ok = ok || same
	}
	return false, ok
}
