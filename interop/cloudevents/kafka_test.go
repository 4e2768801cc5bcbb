package cloudevents

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/IBM/sarama"
	binding "github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/kafka"
	"github.com/micro/go-platform/internal/servertest"
)

var happened = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// records are what both sides have to say alike. Each has a Source, without which there is
// no CloudEvent, as the SDK writes it: a URI without other characters.
var records = map[string]*event.Record{
	"bare":     {ID: "bare", Type: "bare", Source: "/s", RootID: "bare", Time: happened},
	"complete": {ID: "complete", Type: "order.created", Source: "https://shop/1", Subject: "order/42", RootID: "r", ParentID: "p", Time: happened, ContentType: "application/json", Data: []byte(`{"a":[1,"ü"]}`), Metadata: map[string]string{"traceparent": "00-ab", "tenant": "7"}},
	"text":     {ID: "text", Type: "t", Source: "/s", RootID: "text", Time: happened, ContentType: "text/plain; charset=utf-8", Data: []byte("grüße\n")},
	"binary":   {ID: "binary", Type: "t", Source: "/s", RootID: "binary", Time: happened, ContentType: "application/octet-stream", Data: []byte{0, 0xff, 1, '{'}},
	"unicode":  {ID: "ид 1%2F\"", Type: "types/of a stranger", Source: "/s%C3%B8", Subject: "日本", RootID: "ид 1%2F\"", Time: happened, ContentType: "application/json", Data: []byte(`"x"`)},
}

// event of the SDK that says the same as a record.
func asEvent(t *testing.T, r *event.Record) sdk.Event {
	t.Helper()
	e := sdk.NewEvent()
	e.SetID(r.ID)
	e.SetType(r.Type)
	e.SetSource(r.Source)
	e.SetTime(r.Time)
	if r.RootID != r.ID {
		e.SetExtension("rootid", r.RootID)
	}
	if r.Subject != "" {
		e.SetSubject(r.Subject)
	}
	if r.ParentID != "" {
		e.SetExtension("parentid", r.ParentID)
	}
	for k, v := range r.Metadata {
		e.SetExtension(k, v)
	}
	if r.ContentType != "" {
		if err := e.SetData(r.ContentType, r.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	return e
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Producer.Return.Successes = true
	return c
}

func open(t *testing.T, addr, topic string) event.Stream {
	t.Helper()
	s, err := event.New(kafka.Backend(addr, kafka.WithTopic(topic)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func TestTheSDKReadsWhatIsPublished(t *testing.T) {
	addr, topic := servertest.SharedKafka(t).Addr(), servertest.Namespace(t)
	s := open(t, addr, topic)
	for _, r := range records {
		if err := s.Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := binding.NewConsumer([]string{addr}, config(), "sdk-"+topic, topic)
	if err != nil {
		t.Fatal(err)
	}
	client, err := sdk.NewClient(consumer)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	got, ended := make(chan sdk.Event, len(records)), make(chan error, 1)
	go func() { ended <- client.StartReceiver(ctx, func(e sdk.Event) { got <- e }) }()
	defer func() {
		cancel()
		<-ended
		consumer.Close(context.Background())
	}()
	left := maps.Clone(records)
	for len(left) > 0 {
		var e sdk.Event
		select {
		case e = <-got:
		case <-ctx.Done():
			t.Fatalf("%d records were not received", len(left))
		}
		for name, r := range left {
			if r.ID != e.ID() {
				continue
			}
			delete(left, name)
			for _, k := range []string{"kafkatopic", "kafkapartition", "kafkaoffset"} { // which the SDK adds
				e.SetExtension(k, nil)
			}
			want := asEvent(t, r)
			if e.SpecVersion() != "1.0" || e.Type() != r.Type || e.Source() != r.Source || e.Subject() != r.Subject || !e.Time().Equal(r.Time) ||
				e.DataContentType() != r.ContentType || string(e.Data()) != string(r.Data) || !maps.Equal(e.Extensions(), want.Extensions()) {
				t.Errorf("%s: the SDK has received\n%v\nwant\n%v", name, e, want)
			}
		}
	}
}

func TestWhatTheSDKSendsIsRead(t *testing.T) {
	addr := servertest.SharedKafka(t).Addr()
	for mode, with := range map[string]func(context.Context) context.Context{"binary": sdk.WithEncodingBinary, "structured": sdk.WithEncodingStructured} {
		t.Run(mode, func(t *testing.T) {
			topic := servertest.Namespace(t)
			s := open(t, addr, topic)
			got := make(chan *event.Record, 2*len(records))
			if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { got <- r; return nil }, event.Group("g"), event.Ordered(event.BySubject)); err != nil {
				t.Fatal(err)
			}
			sender, err := binding.NewSender([]string{addr}, config(), topic)
			if err != nil {
				t.Fatal(err)
			}
			defer sender.Close(context.Background())
			client, err := sdk.NewClient(sender)
			if err != nil {
				t.Fatal(err)
			}
			for name, r := range records {
				if result := client.Send(with(t.Context()), asEvent(t, r)); !sdk.IsACK(result) {
					t.Fatalf("%s: %v", name, result)
				}
			}
			for range records {
				var r *event.Record
				select {
				case r = <-got:
				case <-time.After(time.Minute):
					t.Fatal("not all were received")
				}
				found := false
				for name, want := range records {
					if want.ID != r.ID {
						continue
					}
					found = true
					if r.Type != want.Type || r.Source != want.Source || r.Subject != want.Subject || r.RootID != want.RootID || r.ParentID != want.ParentID ||
						!r.Time.Equal(want.Time) || r.ContentType != want.ContentType || string(r.Data) != string(want.Data) || !maps.Equal(r.Metadata, want.Metadata) {
						t.Errorf("%s: read\n%+v\nwant\n%+v", name, r, want)
					}
				}
				if !found {
					t.Errorf("read a record that nobody sent: %+v", r)
				}
			}
		})
	}
}
