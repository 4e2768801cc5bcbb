package consul

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/servertest"
)

// An agent that takes 70 connections from a host is enough for any number of
// followers: who gets no blocking query asks once a second.
func TestFollowersKeepToTheAgentsConnections(t *testing.T) {
	const followers = 120
	s := servertest.Consul(t, servertest.WithArgs("-hcl", "limits { http_max_conns_per_client = 70 }"))
	c := open(t, Config{Address: s.Addr()})
	synced, seen := make(chan int, followers), make(chan int, followers)
	var wg sync.WaitGroup
	for i := range followers {
		wg.Go(func() {
			first := true
			err := Follow(t.Context(), c, 10*time.Second, func(q *api.QueryOptions) (*api.KVPair, *api.QueryMeta, error) {
				return c.KV().Get(fmt.Sprint("key-", i), q)
			}, func(a Answer[*api.KVPair]) error {
				if first {
					first = false
					synced <- i
				}
				if a.Value != nil {
					seen <- i
					return errSeen
				}
				return nil
			})
			if err != errSeen {
				t.Errorf("follower %d: %v", i, err)
			}
		})
	}
	await := func(what string, c <-chan int) {
		for n := range followers {
			select {
			case <-c:
			case <-time.After(60 * time.Second):
				t.Fatalf("%d of %d %s", n, followers, what)
			}
		}
	}
	await("have read", synced)
	if n := len(c.held); n > maxQueries {
		t.Errorf("%d blocking queries, want at most %d", n, maxQueries)
	}
	for i := range followers {
		_, err := c.KV().Put(&api.KVPair{Key: fmt.Sprint("key-", i), Value: []byte("x")}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	await("saw the change", seen)
	wg.Wait()
}

var errSeen = errors.New("seen")
