package main

import (
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestAFlagIsSwitchedAndRolledBack(t *testing.T) {
	leak.Check(t)
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `at first:        old checkout
switched on:     new checkout, 20 % off
200 % refused:   true
rolled back:     old checkout
shop 3: rollback to 1 by ann: "errors went up"
shop 2: patch by bob: "for everybody"
shop 1: set features.new_checkout by ann
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
