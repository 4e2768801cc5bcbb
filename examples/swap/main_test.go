package main

import (
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestTheSameOnBoth(t *testing.T) {
	for name, addr := range map[string]func(t *testing.T) string{
		"memory": func(*testing.T) string { return "" },
		"redis":  func(t *testing.T) string { return servertest.SharedRedis(t).Addr() },
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := run(t.Context(), addr(t), &out); err != nil || out.String() != "greeting = hello\n" {
				t.Errorf("got %q, %v", out.String(), err)
			}
		})
	}
}
