// Package dbtest checks that a backend of package db keeps its promises. A
// driver's test calls Run:
//
//	func TestConformance(t *testing.T) {
//		dbtest.Run(t, dbtest.Harness{Open: func(t testing.TB, opts ...db.Option) db.DB {
//			return open(t, append(opts, mydriver.Backend(addr))...)
//		}})
//	}
package dbtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/leak"
)

// Harness is what a backend's test gives to Run.
type Harness struct {
	// Open opens a database with the suite's options, one of which is a
	// namespace. Where Features say Shared or Durable, opening the same namespace
	// again opens the same tables.
	Open func(t testing.TB, opts ...db.Option) db.DB

	// Restart stops the server and starts it again with what it had stored.
	// nil: those cases are skipped.
	Restart func(t testing.TB)

	// Searches is how many random searches are compared with a model; 0: 300. The
	// environment's DB_SEARCHES and DB_SEED go before it, and before the seed of Run.
	Searches int

	// Settle waits until searches see what was written before. nil: they do at
	// once.
	Settle func(t testing.TB)
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, b *bench)
	}{
		{"CreateFillsInAndReadReturns", create},
		{"RecordsComeOutAsTheyWentIn", roundTrip},
		{"CallersRecordsAreTheirOwn", copies},
		{"TakenIDIsRefused", exists},
		{"MissingRecordIsNotFound", missing},
		{"VersionsGuardUpdates", versions},
		{"ForceAndUpsertOverwrite", overwrite},
		{"OfConcurrentUpdatesOneWins", oneWins},
		{"OfConcurrentCreatesOneWins", oneCreates},
		{"BadInputIsRefused", badInput},
		{"BadNamesAreRefused", badNames},
		{"TooLargeIsRefused", tooLarge},
		{"OddValuesMatchExactly", oddValues},
		{"FiltersAgreeWithMatch", filters},
		{"NumbersCompareByValue", numbers},
		{"TimesCompareByInstant", times},
		{"UnsupportedIsSaid", unsupported},
		{"RandomSearchesAgreeWithAModel", random},
		{"PatchesLoseNothing", patches},
		{"SelectLeavesOutTheRest", selects},
		{"ScansAreRefusedUnlessAllowed", scans},
		{"WordsAreFound", words},
		{"WordsOfRecordsThatAreThereAreIndexed", wordsLater},
		{"OrderIsTotal", order},
		{"PagesAreStableAndDisjoint", pages},
		{"PagesHoldUnderWriters", pagesUnderWriters},
		{"CursorsAreForTheirSearch", cursors},
		{"BatchWritesAll", batch},
		{"TransactionIsAllOrNothing", txAtomic},
		{"TransactionSeesItsOwnWrites", txSees},
		{"TransactionsDoNotLoseUpdates", txCounter},
		{"TransactionsHaveTheirLimits", txLimits},
		{"VersionsNeverRepeat", neverAgain},
		{"VersionsNeverRepeatUnderWriters", neverAgainUnderWriters},
		{"OuterDatabaseInsideATransactionIsAnError", outside},
		{"TransactionsAreSerializable", skew},
		{"TransactionsSeeNoPhantoms", phantoms},
		{"WeakerTransactionsLoseNoUpdate", weaker},
		{"ChangesAreToldWithTheirWrite", changes},
		{"ExpiredRecordsAreNotThere", expired},
		{"ExpiredRecordsLeavePagesFull", expiredPages},
		{"ExpiredRecordsAreRemoved", expiredRemoved},
		{"DeletedRecordsAreHiddenAndRestored", softDelete},
		{"DeletedRecordsHaveTheirSearches", softSearches},
		{"DeletedRecordsAreKeptForATime", softKept},
		{"CollectionKeepsValues", collection},
		{"CollectionHasPagesCountsAndBatches", collectionPages},
		{"ModifyLosesNoUpdate", modify},
		{"FiftyWritersLoseNothing", fifty},
		{"TablesAndNamespacesAreApart", apart},
		{"ConcurrentOpensMakeOneTable", concurrentOpen},
		{"ReopenedDatabaseHasItsRecords", reopen},
		{"CancelledContextReturns", cancelled},
		{"UseAfterClose", afterClose},
		{"SurvivesARestart", restart},
	} {
		t.Run(c.name, func(t *testing.T) {
			leak.Check(t)
			c.run(t, newBench(h))
		})
	}
}

// bench is one case's place on the backend.
type bench struct {
	Harness
	ns string
}

func newBench(h Harness) *bench {
	// letters and digits, as a namespace wants
	return &bench{Harness: h, ns: "t" + strings.ReplaceAll(db.NewID(), "-", "")[18:]}
}

// patience is for how long a server may be slow on a busy machine.
const patience = time.Minute

// open opens the case's database; it is closed at the end.
func (b *bench) open(t testing.TB, opts ...db.Option) db.DB {
	t.Helper()
	return b.openIn(t, b.ns, opts...)
}

func (b *bench) openIn(t testing.TB, ns string, opts ...db.Option) db.DB {
	t.Helper()
	d := b.Open(t, append([]db.Option{db.WithNamespace(ns), db.WithDialTimeout(patience), db.WithTimeout(patience)}, opts...)...)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}

// keys are the metadata keys that the suite searches by.
var keys = []string{"a", "b", "c", "n", "s", "owner"}

// table opens a table of its own database.
func (b *bench) table(t testing.TB, opts ...db.Option) (db.DB, db.Table) {
	t.Helper()
	d := b.open(t, opts...)
	return d, openTable(t, d, "things")
}

func openTable(t testing.TB, d db.DB, name string) db.Table {
	t.Helper()
	var indexes []db.TableOption
	for _, k := range keys {
		indexes = append(indexes, db.Index(k))
	}
	tb, err := d.Table(t.Context(), name, indexes...)
	if err != nil {
		t.Fatalf("Table: %v", err)
	}
	return tb
}

func (b *bench) settle(t testing.TB) {
	if b.Settle != nil {
		b.Settle(t)
	}
}

func mustCreate(t testing.TB, tb db.Table, rs ...*db.Record) {
	t.Helper()
	for _, r := range rs {
		if err := tb.Create(t.Context(), r); err != nil {
			t.Fatalf("Create %q: %v", r.ID, err)
		}
	}
}

func mustRead(t testing.TB, tb db.Table, id string) *db.Record {
	t.Helper()
	r, err := tb.Read(t.Context(), id)
	if err != nil {
		t.Fatalf("Read %q: %v", id, err)
	}
	return r
}

// ids returns the ids that a search finds, in order.
func ids(t testing.TB, tb db.Table, opts ...db.SearchOption) []string {
	t.Helper()
	found := []string{}
	for r, err := range tb.All(t.Context(), opts...) {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		found = append(found, r.ID)
	}
	return found
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func id(i int) string { return fmt.Sprintf("id%05d", i) }
