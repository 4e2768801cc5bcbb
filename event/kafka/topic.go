package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	maxTopic      = 200 // bytes of a name, which leaves room for that of the groups' topic
	maxPartitions = 1000
	topicChars    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
)

// topicOf names the topic of a namespace. Kafka takes no two topics whose names
// differ only in '.' and '_', so '_' is written as "-5F", and "-" as "-2D" where it
// would be read as the beginning of one of these.
func topicOf(namespace string) string {
	if namespace == "" {
		return "events"
	}
	var b strings.Builder
	b.WriteString("events-")
	for i, c := range []byte(namespace) {
		rest := namespace[i+1:]
		switch {
		case c == '_':
			b.WriteString("-5F")
		case c == '-' && (strings.HasPrefix(rest, "5F") || strings.HasPrefix(rest, "2D")):
			b.WriteString("-2D")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// topic is what is known about one, for a while.
type topic struct {
	name       string
	id         [16]byte
	leaders    []int32 // by partition; -1: none at the moment
	maxMessage int     // max.message.bytes
	replicas   int     // the fewest of a partition
	configs    map[string]string
	asked      time.Time
}

// fresh is how long what is known about a topic is believed: partitions may be
// added, and leaders move. An error of a request asks again at once.
const fresh = 30 * time.Second

// stream returns the topic of the records, making it if it isn't there.
func (d *driver) stream(ctx context.Context) (*topic, error) { return d.known(ctx, d.topic) }

// known returns one of the driver's two topics, making it if it isn't there.
func (d *driver) known(ctx context.Context, name string) (*topic, error) {
	d.mu.Lock()
	t := d.topics[name]
	d.mu.Unlock()
	if t != nil && time.Since(t.asked) < fresh {
		return t, nil
	}
	for made := false; ; {
		var err error
		t, err = d.describe(ctx, name)
		if err == nil {
			break
		}
		if !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, kafka.ReadError(err)
		}
		if !made {
			made = true
			if err := d.make(ctx, name); err != nil {
				return nil, err
			}
			continue
		}
		err = backoff.Sleep(ctx, 20*time.Millisecond) // brokers learn of it one after the other
		if err != nil {
			return nil, fault.Markf(fault.Unavailable, "topic %s was made and is not there: %w", name, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.topics[name] = t
	return t, nil
}

// forget has a topic looked for again before its next use.
func (d *driver) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.topics, name)
}

// defaultMessage is max.message.bytes of a topic that is made here: the largest
// Data that event.WithMaxBytes allows by default, with the longest names and
// metadata.
const defaultMessage = 2 << 20

func (d *driver) make(ctx context.Context, name string) error {
	partitions, configs := d.partitions, map[string]*string{
		"cleanup.policy": new("delete"), "retention.ms": new("-1"), "retention.bytes": new("-1"), // what removes records is Trim
		"message.timestamp.type": new("LogAppendTime"), "max.message.bytes": new(strconv.Itoa(defaultMessage)),
	}
	if name == d.groups {
		partitions, configs = 1, map[string]*string{"cleanup.policy": new("compact")}
	}
	_, err := d.admin.CreateTopic(ctx, partitions, d.replicas, configs, name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	if kafka.Is(err, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed) {
		return fault.Markf(fault.Denied, "topic %s is not there, or this user may not see it, and may not make it: %w", name, err)
	}
	if err != nil {
		return kafka.ReadError(fmt.Errorf("make topic %s: %w", name, err)) // making it again does no harm
	}
	return nil
}

// describe asks for a topic's partitions and limits.
func (d *driver) describe(ctx context.Context, name string) (*topic, error) {
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &name
	req.Topics = append(req.Topics, rt)
	m, err := req.RequestWith(ctx, d.conn.Client)
	if err != nil {
		return nil, err
	}
	if len(m.Topics) != 1 {
		return nil, kerr.UnknownTopicOrPartition
	}
	of := &m.Topics[0]
	if err := kafka.Code(of.ErrorCode); err != nil {
		return nil, err
	}
	t := &topic{name: name, id: of.TopicID, leaders: make([]int32, len(of.Partitions)), maxMessage: usualMessage, asked: time.Now()}
	for i, p := range of.Partitions {
		if int(p.Partition) >= len(t.leaders) {
			return nil, kerr.UnknownTopicOrPartition
		}
		t.leaders[p.Partition] = p.Leader
		if i == 0 || len(p.Replicas) < t.replicas {
			t.replicas = len(p.Replicas)
		}
	}
	if len(t.leaders) == 0 {
		return nil, kerr.UnknownTopicOrPartition
	}
	configs, err := d.admin.DescribeTopicConfigs(ctx, name)
	var one kadm.ResourceConfig
	if err == nil {
		one, err = configs.On(name, nil)
	}
	if err == nil {
		err = one.Err
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) { // may write, and not look
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.configs = map[string]string{}
	for _, c := range one.Configs {
		t.configs[c.Key] = c.MaybeValue()
		if n, err := strconv.Atoi(c.MaybeValue()); c.Key == "max.message.bytes" && err == nil && n > 0 {
			t.maxMessage = n
		}
	}
	return t, nil
}

// usualMessage is the default of message.max.bytes, for a user who may not ask.
const usualMessage = 1048588

// Advice says what may lose records that groups have not read, or that were
// acknowledged.
func (d *driver) Advice(ctx context.Context) string {
	t, err := d.stream(ctx)
	if err != nil || t.configs == nil {
		return ""
	}
	var list []string
	add := func(when bool, format string, args ...any) {
		if when {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	unlimited := func(key string) bool { return t.configs[key] == "-1" }
	add(!unlimited("retention.ms") && strings.Contains(t.configs["cleanup.policy"], "delete"), "retention.ms is %s: Kafka removes records that groups have not read", t.configs["retention.ms"])
	add(!unlimited("retention.bytes") && strings.Contains(t.configs["cleanup.policy"], "delete"), "retention.bytes is %s: Kafka removes records that groups have not read", t.configs["retention.bytes"])
	add(strings.Contains(t.configs["cleanup.policy"], "compact"), "cleanup.policy is %s: Kafka keeps only the last record of a key", t.configs["cleanup.policy"])
	add(t.replicas == 1, "one broker keeps it")
	add(t.replicas > 1 && t.configs["min.insync.replicas"] == "1", "min.insync.replicas is 1: an acknowledged record may be on one broker alone")
	add(t.configs["unclean.leader.election.enable"] == "true", "unclean.leader.election.enable is true: a broker that lacks acknowledged records may become the leader")
	if len(list) == 0 {
		return ""
	}
	return "topic " + t.name + ": " + strings.Join(list, "; ")
}
