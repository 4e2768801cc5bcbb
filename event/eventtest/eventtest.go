// Package eventtest checks that a backend of package event keeps its promises.
// A driver's test calls Run:
//
//	func TestConformance(t *testing.T) {
//		eventtest.Run(t, eventtest.Harness{Open: func(t testing.TB, opts ...event.Option) event.Stream {
//			return open(t, append(opts, mydriver.Backend(addr))...)
//		}})
//	}
package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
)

// Harness is what a backend's test gives to Run.
type Harness struct {
	// Open opens a stream on the backend with the suite's options, one of
	// which is a namespace. Where Features say Shared or Durable, opening the
	// same namespace again opens the same stream.
	Open func(t testing.TB, opts ...event.Option) event.Stream

	// Restart stops the server and starts it again with what it had stored.
	// nil: those cases are skipped.
	Restart func(t testing.TB)
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, h *bench)
	}{
		{"PublishLeavesTheRecordAlone", publishLeavesTheRecordAlone},
		{"RecordsComeOutAsTheyWentIn", roundTrip},
		{"BadInputIsRefused", badInput},
		{"TooLargeIsRefused", tooLarge},
		{"NamesAreThoseOfCloudEvents", oddNames},
		{"AnyCloudEventComesBackUnchanged", anyCloudEvent},
		{"TypesSelectByPattern", patterns},
		{"DeadLettersAreOnlyForThoseWhoAsk", deadTypesAreApart},
		{"EverySubscriberGetsEverything", fanOut},
		{"NothingIsMissedAfterSubscribe", nothingMissed},
		{"FromChoosesTheBeginning", from},
		{"MembersShareTheWork", groupShares},
		{"GroupsAreIndependent", groupsAreIndependent},
		{"GroupResumesWhereItWas", groupResumes},
		{"GroupStartCountsOnce", groupStart},
		{"GroupRefusesOtherTypes", groupTypes},
		{"DeletedGroupIsForgotten", deleteGroup},
		{"ErrorsAreTriedAgain", retries},
		{"RetryChoosesTheWait", retryAfter},
		{"PoisonGoesToTheDeadLetters", deadLetters},
		{"WithoutGroupPoisonIsDropped", dropped},
		{"OneKeyIsInOrderAndBlocksOnlyItself", ordered},
		{"OrderHoldsOverMembers", orderedMembers},
		{"ClosedMembersGiveTheirTurnBack", turnIsGivenBack},
		{"PartitionsShareAnOrderedGroup", partitions},
		{"ConcurrencyIsUsedAndBounded", concurrency},
		{"HandlersThatHangAreLeftBehind", hung},
		{"BatchesAreBounded", batches},
		{"BatchesRetryWhatFailed", batchFailures},
		{"BatchesSingleOutPoison", batchPoison},
		{"BatchesKeepTheOrderOfKeys", batchOrder},
		{"BatchesNotBegunAreGivenBack", batchClose},
		{"CloseWaitsForTheHandler", closeWaits},
		{"CloseGivesUpAndCounts", closeGivesUp},
		{"CloseGivesBackWhatIsNotBegun", closeReleases},
		{"UseAfterClose", afterClose},
		{"CancelledContextReturns", cancelled},
		{"RootAndParentFlow", causes},
		{"PropagationTravels", propagation},
		{"QueryFilters", queryFilters},
		{"QueryPages", queryPages},
		{"LookUpsFindWhatAScanFinds", lookUps},
		{"AggregateCounts", aggregate},
		{"LagIsVisible", lag},
		{"RetentionKeepsWhatGroupsNeed", retention},
		{"MissedRecordsAreCounted", missed},
		{"NamespacesAreApart", namespaces},
		{"ReopenedStreamHasItsHistory", reopen},
		{"RequestsGetTheirReplies", requests},
		{"RequestsLearnOfErrors", requestErrors},
		{"RequestsEndWithoutAReply", requestTimeouts},
		{"ScheduledIsPublishedOnTimeAndOnce", scheduleOnce},
		{"ScheduledIsCancelledAndReplaced", scheduleCancel},
		{"ScheduledIsListedInOrder", scheduleList},
		{"ScheduledIsPublishedOnceByManyProcesses", scheduleShared},
		{"ScheduledIsPublishedByWhoOnlyPublishes", schedulePublisher},
		{"ScheduledThatIsReplacedWhenDueIsNotLost", scheduleReplaced},
		{"ScheduledRecurs", scheduleRecurs},
		{"ScheduledBadInputIsRefused", scheduleBadInput},
		{"ScheduledSurvivesARestart", scheduleRestart},
		{"ConcurrentPublishersLoseNothing", stress},
		{"SurvivesARestart", restart},
	} {
		t.Run(c.name, func(t *testing.T) {
			leak.Check(t)
			c.run(t, &bench{Harness: h, ns: "t" + event.NewID()[24:]})
		})
	}
}

// bench is one case's place on the backend.
type bench struct {
	Harness
	ns string
}

// patience is for how long a server may be slow on a busy machine.
const patience = 30 * time.Second

// open opens the case's stream; it is closed at the end.
func (b *bench) open(t testing.TB, opts ...event.Option) event.Stream {
	t.Helper()
	return b.openIn(t, b.ns, opts...)
}

func (b *bench) openIn(t testing.TB, ns string, opts ...event.Option) event.Stream {
	t.Helper()
	s := b.Open(t, append([]event.Option{event.WithNamespace(ns), event.WithDialTimeout(patience), event.WithTimeout(patience)}, opts...)...)
	t.Cleanup(func() { shut(t, s) })
	return s
}

// another returns the case's stream as another process has it, where there can be one.
func (b *bench) another(t testing.TB, s event.Stream) event.Stream {
	t.Helper()
	if s.Features().Shared {
		return b.open(t)
	}
	return s
}

// withRetention opens the case's stream with a retention, or skips the case.
func (b *bench) withRetention(t testing.TB, keep event.Retention, every time.Duration) event.Stream {
	t.Helper()
	if !b.openIn(t, b.ns+"p").Features().Retention {
		t.Skip("the backend has no retention")
	}
	return b.open(t, event.WithRetention(keep), event.WithRetentionEvery(every))
}

func shut(t testing.TB, s event.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func closeSub(t testing.TB, s event.Subscription) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Subscription.Close: %v", err)
	}
}

func publish(t testing.TB, s event.Stream, rs ...*event.Record) {
	t.Helper()
	if err := s.Publish(t.Context(), rs...); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}

// publishN publishes n records of type "t" with subjects "0", "1", …
func publishN(t testing.TB, s event.Stream, n int) {
	t.Helper()
	publish(t, s, numbered(0, n)...)
}

// numbered returns n records of type "t" whose subjects are numbers from first on.
func numbered(first, n int) []*event.Record {
	rs := make([]*event.Record, n)
	for i := range rs {
		rs[i] = &event.Record{Type: "t", Subject: fmt.Sprint(first + i)}
	}
	return rs
}

// ignore is a handler.
func ignore(context.Context, *event.Record) error { return nil }

func subscribe(t testing.TB, s event.Stream, h event.Handler, opts ...event.SubscribeOption) event.Subscription {
	t.Helper()
	sub, err := s.Subscribe(t.Context(), h, opts...)
	if err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	return sub
}

// all reads a whole query.
func all(t testing.TB, s event.Stream, opts ...event.QueryOption) []*event.Record {
	t.Helper()
	var rs []*event.Record
	for r, err := range s.Query(t.Context(), opts...) {
		if err != nil {
			t.Fatalf("Query: %v", err)
		}
		rs = append(rs, r)
	}
	return rs
}

// got collects what handlers are given.
type got struct {
	mu sync.Mutex
	rs []*event.Record
}

func (g *got) handle(_ context.Context, r *event.Record) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rs = append(g.rs, r)
	return nil
}

func (g *got) list() []*event.Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.rs)
}

func (g *got) len() int { return len(g.list()) }

// subjects returns the subjects in order of arrival.
func (g *got) subjects() []string { return subjects(g.list()) }

func subjects(rs []*event.Record) []string {
	ss := []string{}
	for _, r := range rs {
		ss = append(ss, r.Subject)
	}
	return ss
}

func numbers(n int) []string {
	ss := make([]string, n)
	for i := range ss {
		ss[i] = fmt.Sprint(i)
	}
	return ss
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// quiet waits a little, to see that something does not happen.
func quiet() { <-time.After(50 * time.Millisecond) }

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}
