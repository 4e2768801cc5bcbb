package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const code = `package sample

import (
	"context"
	"errors"
	"log/slog"
)

var errNone = errors.New("none")

type T struct{ n, calls int }

func (t *T) note() { t.calls++ }

func (t *T) Take(limit int, really bool) (n int, err error) {
	defer t.note()
	_, cancel := context.WithCancel(context.Background())
	defer cancel()
	slog.Default().Debug("take")
	if t.n >= limit && !really {
		return 0, errNone
	}
	done := func() error { return errNone }
	switch {
	case t.n == limit:
		t.note()
	}
	if err := done(); err != errNone {
		return 0, err
	}
	t.n++
	return t.n, nil
}

func never() bool { return 1 > 2 }
`

// The tests see the limit, but nothing of calls.
const tests = `package sample

import "testing"

func Test(t *testing.T) {
	x := &T{}
	for i := range 3 {
		n, err := x.Take(2, false)
		if (err != nil) != (i == 2) || err == nil && n != i+1 {
			t.Fatal(i, n, err)
		}
	}
	if _, err := x.Take(2, true); err != nil {
		t.Fatal(err)
	}
}
`

// sample makes a module of the code and its tests, and goes there.
func sample(t *testing.T) []pkg {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module sample\n\ngo 1.26\n", "sample.go": code, "sample_test.go": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	packages, err := load([]string{"."})
	if err != nil || len(packages) != 1 {
		t.Fatal(packages, err)
	}
	return packages
}

func TestErrorReturnsThatNoTestRunsAreListed(t *testing.T) {
	var out strings.Builder
	err := untested(&out, []string{"."}, sample(t), options{parallel: 2, timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(out.String(), "/")
	want := "sample.go:29: return 0, err\n# sample: 3 error returns, 1 never run (33.3 %)\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMutantsThatNoTestNoticesAreListed(t *testing.T) {
	packages := sample(t)
	r, err := try(packages[0], options{parallel: 2, timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range r.survived {
		got = append(got, m.what)
	}
	want := []string{"without defer t.note()", "without t.note()", "t.n == limit → t.n != limit"}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%q survives, but is not in %q", w, got)
		}
	}
	for _, noticed := range []string{
		"t.n >= limit → t.n > limit", "t.n >= limit && !really → t.n >= limit || !really", "!really → really",
		"never t.n >= limit && !really", "return 0, errNone → nil", "return errNone → nil",
	} {
		if slices.Contains(got, noticed) {
			t.Errorf("%q is noticed by the tests, but listed", noticed)
		}
	}
	for _, g := range got {
		if strings.Contains(g, "cancel()") || strings.Contains(g, "Debug") {
			t.Errorf("%q makes no difference, but is listed", g)
		}
	}
	if r.tried != r.covered || r.covered < 10 || r.covered >= r.all {
		t.Errorf("%+v", r)
	}
}

// A second run tries what the first one listed, and no more.
func TestOnlyGivenMutantsAreTried(t *testing.T) {
	p := sample(t)[0]
	path := filepath.Join(t.TempDir(), "survived.txt")
	place := filepath.Base(p.Dir) + "/sample.go:"
	text := place + "23: return errNone → nil\n" + place + "25: t.n == limit → t.n != limit\n" + place + "99: t.n >= limit && !really → t.n >= limit || !really\n# sample: 12 mutants\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := survivors(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := try(p, options{parallel: 2, timeout: time.Minute, again: again})
	if err != nil {
		t.Fatal(err)
	}
	if r.tried != 2 || len(r.survived) != 1 || r.survived[0].what != "t.n == limit → t.n != limit" {
		t.Errorf("%+v, want the two that are there tried, and one of them noticed", r)
	}
}

func TestSpreadIsEven(t *testing.T) {
	all := make([]mutant, 10)
	for i := range all {
		all[i].n = i
	}
	for _, c := range []struct {
		most, from int
		want       []int
	}{
		{0, 0, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, {10, 3, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{3, 0, []int{0, 3, 6}}, {3, 1, []int{1, 4, 7}}, {3, 5, []int{5, 8, 1}}, {9, 0, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
	} {
		var got []int
		for _, m := range spread(all, c.most, c.from) {
			got = append(got, m.n)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d from %d: %v, want %v", c.most, c.from, got, c.want)
		}
	}
}
