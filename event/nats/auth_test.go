package nats_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/servertest"
)

// Credentials reach the server however they are given, and options win over
// the address.
func TestCredentials(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		well map[string][]engine.Option // by what stands before the host
		bad  map[string][]engine.Option
	}{
		"user and password": {
			[]string{"--user", "bob", "--pass", "p@ss"},
			map[string][]engine.Option{"bob:p%40ss@": nil, "bob:p@ss@": nil, "": {engine.WithAuth("bob", "p@ss")}, "eve:x@": {engine.WithAuth("bob", "p@ss")}, "token@": {engine.WithAuth("bob", "p@ss")}},
			map[string][]engine.Option{"": nil, "bob:wrong@": nil, "bob@": nil, "eve:p%40ss@": nil, "bob:p%40ss@": {engine.WithAuth("bob", "wrong")}},
		},
		"token": {
			[]string{"--auth", "s3cr3t"},
			map[string][]engine.Option{"s3cr3t@": nil, "": {engine.WithToken("s3cr3t")}, "wrong@": {engine.WithToken("s3cr3t")}},
			map[string][]engine.Option{"": nil, "wrong@": nil, "s3cr3t@": {engine.WithToken("wrong")}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := servertest.NATS(t, servertest.WithArgs(c.args...))
			for i, cases := range []map[string][]engine.Option{c.well, c.bad} {
				for before, opts := range cases {
					e, err := engine.Open("nats://"+before+server.Addr(), opts...)
					if err != nil {
						t.Fatal(err)
					}
					defer e.Close()
					s, err := event.New(nats.On(e), event.WithDialTimeout(time.Minute))
					if i == 0 && err != nil || i == 1 && (!errors.Is(err, event.ErrDenied) || errors.Is(err, event.ErrUnavailable)) {
						t.Errorf("%q: %v", before, err)
					}
					if err == nil {
						s.Close(context.Background())
						continue
					}
					for _, secret := range []string{"p@ss", "p%40ss", "s3cr3t", "wrong"} {
						if strings.Contains(err.Error(), secret) {
							t.Errorf("%q: %v", before, err)
						}
					}
				}
			}
		})
	}
}
