package nats_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

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
		well map[string][]nats.Option // by what stands before the host
		bad  map[string][]nats.Option
	}{
		"user and password": {
			[]string{"--user", "bob", "--pass", "p@ss"},
			map[string][]nats.Option{"bob:p%40ss@": nil, "bob:p@ss@": nil, "": {nats.WithAuth("bob", "p@ss")}, "eve:x@": {nats.WithAuth("bob", "p@ss")}, "token@": {nats.WithAuth("bob", "p@ss")}},
			map[string][]nats.Option{"": nil, "bob:wrong@": nil, "bob@": nil, "eve:p%40ss@": nil, "bob:p%40ss@": {nats.WithAuth("bob", "wrong")}},
		},
		"token": {
			[]string{"--auth", "s3cr3t"},
			map[string][]nats.Option{"s3cr3t@": nil, "": {nats.WithToken("s3cr3t")}, "wrong@": {nats.WithToken("s3cr3t")}},
			map[string][]nats.Option{"": nil, "wrong@": nil, "s3cr3t@": {nats.WithToken("wrong")}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := servertest.NATS(t, servertest.WithArgs(c.args...))
			for i, cases := range []map[string][]nats.Option{c.well, c.bad} {
				for before, opts := range cases {
					s, err := event.New(nats.Backend("nats://"+before+server.Addr(), opts...), event.WithDialTimeout(500*time.Millisecond))
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
