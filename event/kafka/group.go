package kafka

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (d *driver) Join(ctx context.Context, g event.GroupConfig) (event.Member, error) {
	has, err := d.enter(ctx, g)
	if err != nil {
		return nil, err
	}
	if has.Classic {
		return d.joinOrdered(ctx, g, has)
	}
	return d.joinShared(ctx, g, has)
}

// shares reports whether the brokers have share groups whose locks can be renewed
// (KIP-932 and KIP-1222: Kafka 4.2), and have them on.
func (d *driver) shares(ctx context.Context) (bool, error) {
	d.mu.Lock()
	known := d.sharing
	d.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "go-platform", "1"
	resp, err := req.RequestWith(ctx, d.conn.Client)
	if err == nil {
		err = kafka.Code(resp.ErrorCode)
	}
	if err != nil {
		return false, kafka.ReadError(err)
	}
	const shareAcknowledge, renewing = 79, 2
	speaks, on := false, false
	for _, k := range resp.ApiKeys {
		speaks = speaks || k.ApiKey == shareAcknowledge && k.MaxVersion >= renewing
	}
	for _, f := range resp.FinalizedFeatures {
		on = on || f.Name == "share.version" && f.MaxVersionLevel >= 1
	}
	share := speaks && on
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sharing = &share
	return share, nil
}

// lag returns how many records a group has not acknowledged.
func (d *driver) lag(ctx context.Context, g *group) (int64, error) {
	t, err := d.stream(ctx)
	if err != nil {
		return 0, err
	}
	ends, err := d.ends(ctx, t)
	if err != nil {
		return 0, err
	}
	if !g.Classic {
		if n, err := d.shareLag(ctx, t, g); n >= 0 || err != nil {
			return n, err
		}
	}
	floor, err := d.floor(ctx, t, g)
	if err != nil {
		return 0, err
	}
	return behind(floor, ends), nil
}

// shareLag is what the broker counts of a share group, or -1.
func (d *driver) shareLag(ctx context.Context, t *topic, g *group) (n int64, err error) {
	offsets, err := d.shareOffsets(ctx, g)
	if err != nil {
		return 0, err
	}
	for p := range t.leaders {
		o, ok := offsets.Lookup(t.name, int32(p))
		if !ok || o.Err != nil || o.Lag < 0 {
			return -1, nil
		}
		n += o.Lag
	}
	return n, nil
}

func (d *driver) shareOffsets(ctx context.Context, g *group) (kadm.ShareOffsets, error) {
	id := d.kafkaGroup(g)
	var offsets kadm.ShareOffsets
	err := again(ctx, func() error {
		described, err := d.admin.DescribeShareGroupOffsets(ctx, id)
		if err == nil {
			offsets, err = described[id].Offsets, described[id].Err
		}
		return first(err)
	})
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	return offsets, kafka.ReadError(err)
}

// floor returns where the first record is that a group has not acknowledged, or
// later than all offsets if there is none.
func (d *driver) floor(ctx context.Context, t *topic, g *group) (vector, error) {
	v := make(vector, len(t.leaders))
	for p := range v {
		v[p] = g.Start.at(p)
	}
	if !g.Classic {
		offsets, err := d.shareOffsets(ctx, g)
		if err != nil {
			return nil, err
		}
		for p := range v {
			if o, ok := offsets.Lookup(t.name, int32(p)); ok && o.Err == nil && o.StartOffset >= 0 {
				v[p] = o.StartOffset
				if o.Lag == 0 { // what the broker writes down of the start is one acknowledgement late
					v[p] = math.MaxInt64
				}
			}
		}
		return v, nil
	}
	committed, err := d.committed(ctx, g)
	if err != nil {
		return nil, err
	}
	for p := range v {
		if o, ok := committed.Lookup(t.name, int32(p)); ok && o.Err == nil && o.At >= 0 {
			v[p] = o.At
		}
	}
	return v, nil
}

func (d *driver) committed(ctx context.Context, g *group) (kadm.OffsetResponses, error) {
	var offsets kadm.OffsetResponses
	err := again(ctx, func() (err error) {
		offsets, err = d.admin.FetchOffsets(ctx, d.kafkaGroup(g))
		return first(err)
	})
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	return offsets, kafka.ReadError(err)
}

// setGroup sets what Kafka knows about one group alone.
func (d *driver) setGroup(ctx context.Context, id string, configs [][2]string) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	rs := kmsg.NewIncrementalAlterConfigsRequestResource()
	rs.ResourceType, rs.ResourceName = kmsg.ConfigResourceTypeGroupConfig, id
	for _, kv := range configs {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = kv[0], kmsg.IncrementalAlterConfigOpSet, &kv[1]
		rs.Configs = append(rs.Configs, c)
	}
	req.Resources = append(req.Resources, rs)
	resp, err := req.RequestWith(ctx, d.conn.Client)
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		if err := kafka.Code(r.ErrorCode); err != nil {
			return err
		}
	}
	return nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// brokerConfig asks a broker how it is set up; otherwise if it does not say.
func (d *driver) brokerConfig(ctx context.Context, key, otherwise string) string {
	d.mu.Lock()
	known := d.setUp
	d.mu.Unlock()
	if known == nil {
		m, err := d.admin.BrokerMetadata(ctx)
		if err != nil || len(m.Brokers) == 0 {
			return otherwise
		}
		configs, err := d.admin.DescribeBrokerConfigs(ctx, m.Brokers[0].NodeID)
		if err != nil || len(configs) != 1 || configs[0].Err != nil {
			return otherwise
		}
		known = map[string]string{}
		for _, c := range configs[0].Configs {
			known[c.Key] = c.MaybeValue()
		}
		d.mu.Lock()
		d.setUp = known
		d.mu.Unlock()
	}
	if v := known[key]; v != "" {
		return v
	}
	return otherwise
}

// deliveryLimit asks how often the records of a share group are handed out.
func (d *driver) deliveryLimit(ctx context.Context, id string) (int, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, id
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, d.conn.Client)
	if err != nil {
		return 0, kafka.ReadError(err)
	}
	for _, r := range resp.Resources {
		for _, c := range r.Configs {
			if c.Name != limitKey || c.Value == nil {
				continue
			}
			if n, err := strconv.Atoi(*c.Value); err == nil && n > 1 {
				return n, nil
			}
		}
	}
	return usualLimit, nil
}
