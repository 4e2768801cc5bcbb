package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestWhatOneLookedUpNoneLooksUpAgain(t *testing.T) {
	leak.Check(t)
	defer http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	if err := run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "100 users, asked of 3 instances: 100 lookups\none instance has gone: 100 lookups\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
