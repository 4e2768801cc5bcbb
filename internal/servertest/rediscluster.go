package servertest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Shards is a Redis cluster.
type Shards struct {
	Members   []*Server // the first Primaries of them started as primaries
	Primaries int
}

// Addrs returns the members' addresses.
func (c *Shards) Addrs() []string { return addrs(c.Members) }

// Owner returns the member that is the primary for key, as a running member knows it; nil if
// nobody is.
func (c *Shards) Owner(key string) *Server {
	for _, m := range c.Members {
		if !m.Running() {
			continue
		}
		slot, err := m.resp("CLUSTER", "KEYSLOT", key)
		if err != nil {
			continue
		}
		reply, err := m.resp("CLUSTER", "SLOTS")
		ranges, ok := reply.([]any)
		if err != nil || !ok {
			continue
		}
		for _, r := range ranges {
			// first slot, last slot, [primary's address, port, id], …
			fields, ok := r.([]any)
			if !ok || len(fields) < 3 || slot.(int64) < fields[0].(int64) || slot.(int64) > fields[1].(int64) {
				continue
			}
			if node, ok := fields[2].([]any); ok && len(node) > 1 {
				return withPort(c.Members, fmt.Sprint(node[1]))
			}
		}
	}
	return nil
}

// RedisCluster starts a Redis cluster of three primaries. It fails over to a replica, where there
// are ([WithReplicas]), within about three seconds.
func RedisCluster(t testing.TB, opts ...Option) *Shards {
	t.Helper()
	o := collect(opts)
	const primaries = 3
	node := redis("redis-cluster", o, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
		"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
	specs := make([]spec, primaries*(1+o.replicas))
	for i := range specs {
		specs[i] = node
	}
	c := &Shards{Members: startAll(t, o, specs...), Primaries: primaries}
	if err := c.join(); err != nil {
		t.Fatalf("servertest: join the Redis cluster: %v", err)
	}
	return c
}

// join does what redis-cli --cluster create does, in half the time.
func (c *Shards) join() error {
	const slots = 16384
	ids := make([]string, len(c.Members))
	for i, m := range c.Members {
		id, err := m.resp("CLUSTER", "MYID")
		if err != nil {
			return err
		}
		ids[i] = fmt.Sprint(id)
		// Distinct epochs from the start: nodes settle collisions one by one.
		if _, err := m.resp("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
		if i < c.Primaries {
			first, last := slots*i/c.Primaries, slots*(i+1)/c.Primaries-1
			if _, err := m.resp("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); err != nil {
				return err
			}
		}
	}
	for _, m := range c.Members[1:] {
		if _, err := c.Members[0].resp("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(m.Port("redis"))); err != nil {
			return err
		}
	}
	for _, m := range c.Members {
		if err := until(m, fmt.Sprintf("cluster_known_nodes:%d", len(c.Members)), "CLUSTER", "INFO"); err != nil {
			return err
		}
	}
	for i, m := range c.Members[c.Primaries:] {
		if err := retry(func() error {
			_, err := m.resp("CLUSTER", "REPLICATE", ids[i%c.Primaries])
			return err
		}); err != nil {
			return err
		}
	}
	// A replica that was never in sync is never promoted.
	for _, m := range c.Members[c.Primaries:] {
		if err := until(m, "master_link_status:up", "INFO", "replication"); err != nil {
			return err
		}
	}
	for _, m := range c.Members {
		if err := until(m, "cluster_state:ok", "CLUSTER", "INFO"); err != nil {
			return err
		}
		if err := until(m, fmt.Sprintf("cluster_slots_ok:%d", slots), "CLUSTER", "INFO"); err != nil {
			return err
		}
	}
	return nil
}

// until repeats a command until its reply contains want.
func until(s *Server, want string, command ...string) error {
	err := retry(func() error { return s.reports(want, command...) })
	if err != nil {
		return fmt.Errorf("%s: %s: %w", s.Addr(), strings.Join(command, " "), err)
	}
	return nil
}

func retry(f func() error) error {
	var err error
	poll(time.Minute, func() bool {
		err = f()
		return err == nil
	})
	return err
}
