package redis

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// groupConfig is kept for each group.
type groupConfig struct {
	Types []string `json:"types"`
}

func (d *driver) Join(ctx context.Context, g event.GroupConfig) (event.Member, error) {
	start, err := d.locate(ctx, g.Start)
	if err != nil {
		return nil, err
	}
	config, _ := json.Marshal(groupConfig{Types: g.Types.List()})
	stored, err := redis.Do(ctx, d.client, func(ctx context.Context) (string, error) {
		// The group first, the note of it after: who sees the note may rely on
		// the group.
		err := d.client.XGroupCreateMkStream(ctx, d.key, g.Name, start).Err()
		if err != nil && !isAnswer(err, "BUSYGROUP") {
			return "", err
		}
		if err := d.client.HSetNX(ctx, d.groupsKey(), g.Name, config).Err(); err != nil {
			return "", err
		}
		if err := d.client.HDel(ctx, d.deletedKey(), g.Name).Err(); err != nil {
			return "", err
		}
		return d.client.HGet(ctx, d.groupsKey(), g.Name).Result()
	})
	if err != nil {
		return nil, redis.ReadError(err)
	}
	var has groupConfig
	if err := json.Unmarshal([]byte(stored), &has); err != nil {
		return nil, err
	}
	if err := g.CheckTypes(has.Types); err != nil {
		return nil, err
	}
	m := &member{d: d, g: g, waiter: waiter{client: d.waiting, key: d.key}}
	m.next = newShared(m).fetch
	if g.Exclusive {
		m.next = (&turn{m: m}).fetch
		m.lease = &lease{d: d, key: d.leaseKey(g.Name), holder: g.Consumer, ttl: g.AckWait}
	}
	return m, nil
}

func (d *driver) Groups(ctx context.Context) ([]event.GroupInfo, error) {
	type both struct {
		configs map[string]string
		infos   []goredis.XInfoGroup
	}
	got, err := redis.Do(ctx, d.client, func(ctx context.Context) (b both, err error) {
		b.configs, err = d.client.HGetAll(ctx, d.groupsKey()).Result()
		if err != nil {
			return b, err
		}
		b.infos, err = d.client.XInfoGroups(ctx, d.key).Result()
		if isAnswer(err, "no such key") {
			err = nil
		}
		return b, err
	})
	if err != nil {
		return nil, redis.ReadError(err)
	}
	var list []event.GroupInfo
	for _, i := range got.infos {
		var c groupConfig
		json.Unmarshal([]byte(got.configs[i.Name]), &c) // a group of somebody else has none
		list = append(list, event.GroupInfo{Name: i.Name, Types: c.Types, Lag: event.Lag{Pending: i.Pending, Behind: i.Lag}})
	}
	slices.SortFunc(list, func(a, b event.GroupInfo) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// remembered is how long members can tell a deleted group from a server that
// has lost its data.
const remembered = time.Hour

func (d *driver) DeleteGroup(ctx context.Context, name string) error {
	n, err := redis.Do(ctx, d.client, func(ctx context.Context) (int64, error) {
		p := d.client.TxPipeline()
		p.HSet(ctx, d.deletedKey(), name, time.Now().Unix())
		p.Expire(ctx, d.deletedKey(), remembered)
		p.HDel(ctx, d.groupsKey(), name)
		// Once, and so all of them: the second time no group is there.
		_ = p.Process(ctx, once{goredis.NewIntCmd(ctx, "del", d.leaseKey(name))})
		destroyed := p.XGroupDestroy(ctx, d.key, name)
		_, err := p.Exec(ctx)
		if isAnswer(err, "requires the key to exist") {
			return 0, nil
		}
		return destroyed.Val(), err
	})
	if err != nil {
		return redis.WriteError(err)
	}
	if n == 0 {
		return fault.NotFound
	}
	return nil
}
