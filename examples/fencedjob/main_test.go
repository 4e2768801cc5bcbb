package main

import (
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestALateWriteIsRefused(t *testing.T) {
	leak.Check(t)
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = "a second one meanwhile: true\nthe next one's token is larger: true\na late write is refused: true\ntotal: 120\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
