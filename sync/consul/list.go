package consul

import (
	"context"
	"strings"

	"github.com/hashicorp/consul/api"
	dsync "github.com/micro/go-platform/sync"
)

// List implements Lister of sync/driver. Who waits is in the queue of a key.
func (d *driver) List(ctx context.Context, prefix string, yield func(string, dsync.Hold) bool) error {
	pairs, _, err := d.conn.KV().List(prefix, consistent(ctx))
	if err != nil {
		return unavailable(err)
	}
	queues, holders := map[string][]*api.KVPair{}, map[string]*api.KVPair{}
	var keys []string
	for _, p := range pairs {
		if p.Session == "" { // its session has ended, or somebody else has made it
			continue
		}
		key, isHolder := strings.CutSuffix(p.Key, "/holder")
		if isHolder {
			holders[key] = p
		} else if i := strings.LastIndex(p.Key, "/queue/"); i >= 0 {
			key = p.Key[:i]
			queues[key] = append(queues[key], p)
		}
		if n := len(keys); n == 0 || keys[n-1] != key { // they come sorted
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		for _, h := range claims(holders[key], queues[key]) {
			if !yield(key, h) {
				return nil
			}
		}
	}
	return nil
}

// claims are those of one key: who has the holder's key, or the first places of a
// semaphore, and who waits behind.
func claims(holder *api.KVPair, queue []*api.KVPair) (all []dsync.Hold) {
	sortQueue(queue)
	if c := candidate(holder); c.Token > 0 {
		all = append(all, dsync.Hold{Owner: c.Owner, Token: c.Token})
	}
	for i, p := range queue {
		limit, owner := parse(p)
		switch {
		case holder != nil && p.Session == holder.Session:
		case limit > 1 && i < limit:
			all = append(all, dsync.Hold{Owner: owner, Token: p.CreateIndex})
		default:
			all = append(all, dsync.Hold{Owner: owner, Waiting: true})
		}
	}
	return all
}
