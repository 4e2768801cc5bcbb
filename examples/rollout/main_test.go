package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestUsersKeepTheNewVersionWhileItsShareGrows(t *testing.T) {
	leak.Check(t)
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 || lines[4] != "testers: 1000 of 1000" || lines[5] != "101 % refused: true" {
		t.Fatalf("got\n%s", out.String())
	}
	last := 0
	for _, line := range lines[:4] {
		var percent, users, kept, before int
		if _, err := fmt.Sscanf(line, "%d %%: %d of 1000 users have the new version, %d of the %d before", &percent, &users, &kept, &before); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if off := users - percent*10; off < -60 || off > 60 {
			t.Errorf("%q: want about %d users", line, percent*10)
		}
		if before != last || users > before && kept != before {
			t.Errorf("%q: want all of the %d before", line, last)
		}
		last = users
	}
}
