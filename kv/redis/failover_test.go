package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
)

// TestNoWritesToAnOldPrimary: one that goes on answering after the sentinels
// have chosen another. Its user may not be told to become a replica, so neither
// that nor the sentinels' CLIENT KILL happens to it.
func TestNoWritesToAnOldPrimary(t *testing.T) {
	t.Parallel()
	set := servertest.RedisSentinel(t)
	store := opener(redis.Backend("redis+sentinel://" + strings.Join(set.SentinelAddrs(), ",") + "/" + set.Name))(t)
	defer store.Close()
	leader := set.Leader()
	old := goredis.NewClient(&goredis.Options{Addr: leader.Addr()})
	defer old.Close()
	if err := old.Do(t.Context(), "acl", "setuser", "default", "-replicaof", "-slaveof").Err(); err != nil {
		t.Fatal(err)
	}

	watched := make(chan string, 4096)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		for e := range store.Watch(ctx, "seen") {
			if e.Kind != kv.EventDelete {
				watched <- string(e.Item.Value)
			}
		}
	})
	<-watched // synced

	// Writers keep connections busy, so that none is thrown away for being idle.
	var mu sync.Mutex
	acked := map[string]time.Time{} // by key, when the write began
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key, start := fmt.Sprintf("%d/%d", w, i), time.Now()
				_, err := store.Put(ctx, key, []byte("v"), kv.IfAbsent())
				switch {
				case err == nil:
					mu.Lock()
					acked[key] = start
					mu.Unlock()
				case ctx.Err() != nil: // the end of the test
				case !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, kv.ErrUnknownOutcome):
					t.Errorf("during the failover: %v", err)
				}
			}
		})
	}
	sentinel := goredis.NewSentinelClient(&goredis.Options{Addr: set.SentinelAddrs()[0]})
	defer sentinel.Close()
	told := sentinel.Subscribe(ctx, "+switch-master")
	defer told.Close()
	if _, err := told.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if err := sentinel.Failover(ctx, set.Name).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := told.ReceiveMessage(ctx); err != nil {
		t.Fatal(err)
	}
	// The other sentinels tell within a moment; then nothing more may go there.
	<-time.After(time.Second)
	after := time.Now()
	<-time.After(2 * time.Second)
	if _, err := store.Put(ctx, "seen", []byte("behind the failover")); err != nil {
		t.Fatal(err)
	}
	for got := ""; got != "behind the failover"; {
		select {
		case got = <-watched:
		case <-time.After(time.Minute):
			t.Fatal("the watch still listens to the old primary")
		}
	}
	cancel()
	wg.Wait()

	if role := old.Do(t.Context(), "role").Val(); !strings.Contains(fmt.Sprint(role), "master") {
		t.Fatalf("the old primary did not go on: %v", role)
	}
	written, lost := 0, 0
	for key, start := range acked {
		if start.Before(after) {
			continue
		}
		written++
		if n := old.Exists(t.Context(), key).Val(); n > 0 {
			lost++
		}
	}
	if written == 0 || lost > 0 {
		t.Errorf("%d of %d acknowledged writes went to the old primary", lost, written)
	}
}

// TestSlotMigration: conditional writes, counters and the rest go on while a
// cluster moves the slot of their keys, whether a key has gone already or not.
func TestSlotMigration(t *testing.T) {
	t.Parallel()
	cluster := servertest.RedisCluster(t)
	store := opener(redis.Backend(strings.Join(cluster.Addrs(), ",")))(t)
	defer store.Close()
	ctx := t.Context()
	big := strings.Repeat("x", 20<<10)
	keys := map[string]string{"{moving}cas": "1", "{moving}n": "1", "{moving}big": big, "{moving}gone": "1"}
	revisions := map[string]kv.Revision{}
	for key, v := range keys {
		rev, err := store.Put(ctx, key, []byte(v))
		if err != nil {
			t.Fatal(err)
		}
		revisions[key] = rev
	}
	from := cluster.Owner("{moving}")
	to := cluster.Members[0]
	if to == from {
		to = cluster.Members[1]
	}
	source, target := goredis.NewClient(&goredis.Options{Addr: from.Addr()}), goredis.NewClient(&goredis.Options{Addr: to.Addr()})
	defer source.Close()
	defer target.Close()
	slot := source.ClusterKeySlot(ctx, "{moving}").Val()
	id := func(c *goredis.Client) string { return c.Do(ctx, "cluster", "myid").Val().(string) }
	do := func(c *goredis.Client, words ...any) {
		t.Helper()
		if err := c.Do(ctx, words...).Err(); err != nil {
			t.Fatal(words, err)
		}
	}
	n := int64(1)
	all := func(when string) {
		t.Helper()
		try := func(name string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %s: %v", when, name, err)
			}
		}
		var err error
		revisions["{moving}cas"], err = store.Put(ctx, "{moving}cas", []byte(when), kv.IfRevision(revisions["{moving}cas"]))
		try("IfRevision", err)
		revisions["{moving}big"], err = store.Put(ctx, "{moving}big", []byte(big+when), kv.IfRevision(revisions["{moving}big"]))
		try("large IfRevision", err)
		sum, err := store.Add(ctx, "{moving}n", 1)
		if n++; sum != n && err == nil {
			err = fmt.Errorf("the sum is %d, want %d", sum, n)
		}
		try("Add", err)
		_, err = store.Add(ctx, "{moving}m"+when, 1, kv.TTL(time.Hour))
		try("Add with a TTL", err)
		_, err = store.Put(ctx, "{moving}new"+when, []byte("1"), kv.IfAbsent())
		try("IfAbsent", err)
		_, err = store.Put(ctx, "{moving}new"+when, []byte("1"), kv.IfAbsent())
		if !errors.Is(err, kv.ErrExists) {
			t.Errorf("%s: the second IfAbsent: %v", when, err)
		}
		try("conditional Delete", store.Delete(ctx, "{moving}new"+when, kv.IfRevision(revisions["{moving}gone"])))
		_, err = store.Get(ctx, "{moving}cas", kv.Expiry())
		try("Get", err)
	}
	all("before")
	do(target, "cluster", "setslot", slot, "importing", id(source))
	do(source, "cluster", "setslot", slot, "migrating", id(target))
	all("begun")
	for _, key := range []string{"{moving}cas", "{moving}n", "{moving}big"} {
		do(source, "migrate", "127.0.0.1", to.Port("redis"), key, 0, 5000)
		all("after " + key)
	}
	for _, key := range source.ClusterGetKeysInSlot(ctx, int(slot), 100).Val() {
		do(source, "migrate", "127.0.0.1", to.Port("redis"), key, 0, 5000)
	}
	do(target, "cluster", "setslot", slot, "node", id(target))
	do(source, "cluster", "setslot", slot, "node", id(target))
	all("done")
}
