package etcd

import (
	"cmp"
	"context"
	"slices"
	"strings"

	dsync "github.com/micro/go-platform/sync"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// pageSize is how many claims one request of List reads.
const pageSize = 1000

// List implements Lister of sync/driver. The oldest claims of a key hold, the
// others wait.
func (d *driver) List(ctx context.Context, prefix string, yield func(string, dsync.Hold) bool) error {
	var queue []*mvccpb.KeyValue // of one key
	key := ""
	flush := func() bool {
		slices.SortFunc(queue, func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.CreateRevision, b.CreateRevision) })
		for i, kv := range queue {
			limit, owner := parse(kv)
			h := dsync.Hold{Owner: owner, Waiting: i >= limit}
			if !h.Waiting {
				h.Token = uint64(kv.CreateRevision)
			}
			if !yield(key, h) {
				return false
			}
		}
		queue = nil
		return true
	}
	end, revision := clientv3.GetPrefixRangeEnd(prefix), int64(0)
	for from := prefix; ; {
		r, err := d.conn.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
		if err != nil {
			return unavailable(err)
		}
		if revision == 0 {
			revision = r.Header.Revision // all pages are of one moment
		}
		for _, kv := range r.Kvs {
			of, ok := claimed(string(kv.Key))
			if !ok {
				continue
			}
			if of != key && !flush() {
				return nil
			}
			key, queue = of, append(queue, kv)
		}
		if !r.More {
			break
		}
		from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
	}
	flush()
	return nil
}

// claimed returns the key that a claim is for; false for a tombstone.
func claimed(name string) (key string, ok bool) {
	return name[:max(0, strings.LastIndexByte(name, '/'))], strings.Count(name, "/") == 4
}
