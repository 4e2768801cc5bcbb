package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/micro/go-platform/internal/fault"
)

var (
	kvNotFound     = fault.Of("kv", fault.NotFound)
	kvUnavailable  = fault.Of("kv", fault.Unavailable)
	configNotFound = fault.Of("config", fault.NotFound)
	configInvalid  = fault.Of("config", fault.Invalid)
	storeNotFound  = fault.Of("config/store", fault.NotFound)
)

func TestSentinelsHoldForTheirOwnPackage(t *testing.T) {
	all := map[string]error{
		"kv not found": kvNotFound, "kv unavailable": kvUnavailable, "config not found": configNotFound,
		"config invalid": configInvalid, "store not found": storeNotFound,
	}
	fromKV := fault.Wrap("kv/redis", "get", "x", fault.NotFound)
	fromStore := fault.Wrap("config/store/kv", "read", "x", fromKV)
	for _, c := range []struct {
		name string
		err  error
		text string
		is   []string
	}{
		{"a kind", fault.NotFound, "not found", nil},
		{"a sentinel", kvNotFound, "not found", []string{"kv not found"}},
		{"of a kind", fromKV, `kv/redis: get "x": not found`, []string{"kv not found"}},
		{"of the own sentinel", fault.Wrap("kv", "get", "x", kvNotFound), `kv: get "x": not found`, []string{"kv not found"}},
		{"of a marked cause", fault.Wrap("kv/a/b", "get", "", fault.Mark(fault.NotFound, io.EOF)), "kv/a/b: get: not found: EOF", []string{"kv not found"}},
		{"of a name that only begins alike", fault.Wrap("kvx", "get", "", fault.NotFound), "kvx: get: not found", nil},
		{"of a package below", fault.Wrap("config/store/kv", "get", "", fault.NotFound), "config/store/kv: get: not found", []string{"store not found"}},
		{"over another package", fault.Wrap("config/kv", "get", "x", fromKV), `config/kv: get "x": kv/redis: get "x": not found`, []string{"config not found", "kv not found"}},
		{"over two others", fault.Wrap("config", "load", "", fromStore), `config: load: config/store/kv: read "x": kv/redis: get "x": not found`, []string{"config not found", "store not found", "kv not found"}},
		{"over a foreign sentinel", fault.Wrap("config/x", "get", "", fmt.Errorf("%w: gone", kvNotFound)), "config/x: get: not found: gone", []string{"config not found", "kv not found"}},
		{"marked with a foreign sentinel", fault.Wrap("config/x", "get", "", fault.Mark(kvNotFound, io.EOF)), "config/x: get: not found: EOF", []string{"config not found", "kv not found"}},
		{"marked otherwise", fault.Wrap("config/kv", "get", "", fault.Mark(fault.Invalid, fromKV)), `config/kv: get: invalid: kv/redis: get "x": not found`, []string{"config invalid", "kv not found"}},
		{"marked alike", fault.Wrap("config/kv", "get", "", fault.Mark(fault.NotFound, fmt.Errorf("reading: %w", fromKV))), `config/kv: get: reading: kv/redis: get "x": not found`, []string{"config not found", "kv not found"}},
		{"two of its own", fault.Wrap("kv", "get", "", errors.Join(fromKV, fault.Mark(fault.Unavailable, io.EOF))), "kv: get: kv/redis: get \"x\": not found\nbackend unavailable: EOF", []string{"kv not found", "kv unavailable"}},
		{"without a kind", fault.Wrap("kv", "get", "", io.EOF), "kv: get: EOF", nil},
		{"as a cause of a context", fault.Wrap("kv", "get", "", context.Canceled), "kv: get: context canceled", nil},
	} {
		if c.err.Error() != c.text {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, c.err, c.text)
		}
		is := map[string]bool{}
		for _, name := range c.is {
			is[name] = true
		}
		for name, s := range all {
			if got := errors.Is(c.err, s); got != is[name] {
				t.Errorf("%s: errors.Is(%v, %s) = %v", c.name, c.err, name, got)
			}
		}
	}
	if fault.KindOf(fault.Wrap("config", "x", "", fault.Mark(fault.Invalid, fromKV))) != fault.Invalid {
		t.Error("what was marked last does not decide")
	}
}

func TestFinerSentinels(t *testing.T) {
	var (
		coarse  = fault.Of("auth", fault.Unauthenticated)
		finer   = fault.Finer(coarse, "no proof")
		finest  = fault.Finer(finer, "a nonce is required")
		inner   = fault.Finer(fault.Unauthenticated, "token expired")
		named   = fault.Of("auth", inner)
		foreign = fault.Of("kv", fault.Unauthenticated)
	)
	for _, c := range []struct {
		err  error
		want [4]bool // coarse, finer, finest, named
	}{
		{coarse, [4]bool{true}},
		{finest, [4]bool{true, true, true}},
		{named, [4]bool{true, false, false, true}},
		{fault.Wrap("auth/x", "verify", "", finest), [4]bool{true, true, true}},
		{fault.Wrap("auth/x", "verify", "", fmt.Errorf("%w at noon", inner)), [4]bool{true, false, false, true}},
		{fault.Wrap("auth/x", "verify", "", fmt.Errorf("%w at noon", named)), [4]bool{true, false, false, true}},
		{fault.Wrap("kv", "get", "", inner), [4]bool{}},
	} {
		for i, s := range []error{coarse, finer, finest, named} {
			if got := errors.Is(c.err, s); got != c.want[i] {
				t.Errorf("errors.Is(%v, %v) = %v", c.err, s, got)
			}
		}
		if !errors.Is(c.err, fault.Unauthenticated) {
			t.Errorf("%v lost its kind", c.err)
		}
	}
	if errors.Is(finest, foreign) {
		t.Error("a finer sentinel holds for another package")
	}
}

// An error that was adopted keeps the kind that was said last.
func TestAdoptKeepsTheKind(t *testing.T) {
	err := fault.Adopt("config", fault.Wrap("kv/redis", "get", "x", fault.Mark(fault.Unavailable, fault.NotFound)))
	if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, kvUnavailable) {
		t.Errorf("KindOf(%v) = %v", err, fault.KindOf(err))
	}
}

// The issuer is a backend of package auth and has errors of its own.
func TestAScopeOfTwoPackages(t *testing.T) {
	denied, missing := fault.Of("auth", fault.Denied), fault.Of("auth/issuer", fault.NotFound)
	for _, c := range []struct {
		scope, kind     string
		err             error
		denied, missing bool
	}{
		{"auth/issuer", "denied", fault.Denied, true, false},
		{"auth/issuer", "not found", fault.NotFound, false, true},
		{"auth/jwt", "not found", fault.NotFound, false, false},
	} {
		err := fault.Wrap(c.scope, "read", "", c.err)
		if errors.Is(err, denied) != c.denied || errors.Is(err, missing) != c.missing {
			t.Errorf("%s, %s: denied %v, missing %v", c.scope, c.kind, !c.denied, !c.missing)
		}
	}
	if again := fault.Wrap("auth", "verify", "", fault.Wrap("auth/issuer", "read", "", fault.NotFound)); again.Error() != "auth/issuer: read: not found" {
		t.Error(again)
	}
}
