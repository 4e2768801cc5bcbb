package fault_test

import (
	"errors"
	"testing"

	"github.com/micro/go-platform/internal/fault"
)

// Which sentinels an error answers for, its own package's and another's.
func TestWhoseErrorItIs(t *testing.T) {
	kv, db := fault.Of("kv", fault.NotFound), fault.Of("db", fault.NotFound)
	exists := fault.Of("kv", fault.Exists)
	gone := fault.Markf(fault.NotFound, "gone")
	for name, c := range map[string]struct {
		err             error
		kv, db, already bool
		kind            error
	}{
		"adopted":                 {fault.Adopt("kv", gone), true, false, false, fault.NotFound},
		"adopted, without a kind": {fault.Adopt("kv", errors.New("x")), false, false, false, nil},
		"adopted, of another":     {fault.Adopt("kv", db), true, true, false, fault.NotFound},
		"theirs":                  {fault.Theirs("kv", "get", "", gone), true, false, false, fault.NotFound},
		"theirs, of another":      {fault.Theirs("kv", "get", "", db), false, true, false, fault.NotFound},
		"theirs, without a kind":  {fault.Theirs("kv", "get", "", errors.New("x")), false, false, false, nil},
		"wrapped":                 {fault.Wrap("kv", "get", "", gone), true, false, false, fault.NotFound},
		"wrapped, of another":     {fault.Wrap("kv", "get", "", db), true, true, false, fault.NotFound},
		"two kinds":               {&fault.Error{Scope: "kv", Op: "put", Kind: fault.Exists, Cause: kv}, true, false, true, fault.Exists},
		"one kind twice":          {&fault.Error{Scope: "kv", Op: "get", Kind: fault.NotFound, Cause: kv}, true, false, false, fault.NotFound},
	} {
		if is := [...]bool{errors.Is(c.err, kv), errors.Is(c.err, db), errors.Is(c.err, exists)}; is != [...]bool{c.kv, c.db, c.already} {
			t.Errorf("%s: of kv, of db, exists: %v", name, is)
		}
		if got := fault.KindOf(c.err); got != c.kind || c.kind != nil && !errors.Is(c.err, c.kind) {
			t.Errorf("%s: the kind %v, want %v", name, got, c.kind)
		}
	}
}
