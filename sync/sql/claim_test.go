package sql

import (
	"cmp"
	"context"
	dbsql "database/sql"
	dbdriver "database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// lab is a SQLite database whose clock stands still, and of which the test refuses
// statements by a part of their text; "BEGIN" and "COMMIT" are statements too.
type lab struct {
	t      *testing.T
	sqlite dbdriver.Driver
	dsn    string
	db     *dbsql.DB // past the refusals

	mu     gosync.Mutex
	now    int64
	refuse string
	times  int // that it is refused; negative: always
	said   []string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, now: 1000, dsn: "file:" + filepath.Join(t.TempDir(), "locks.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(off)&_txlock=immediate"}
	db, err := dbsql.Open("sqlite", l.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	l.db, l.sqlite = db, db.Driver()
	return l
}

func (l *lab) Connect(context.Context) (dbdriver.Conn, error) {
	c, err := l.sqlite.Open(l.dsn)
	return &labConn{c, l}, err
}

func (l *lab) Driver() dbdriver.Driver { return l.sqlite }

func (l *lab) set(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = now
}

// fail refuses what has a text in it, so many times; "$" is the end.
func (l *lab) fail(text string, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse, l.times = text, times
}

// left is how many times a statement is still to be refused.
func (l *lab) left() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.times
}

// statements is how many have begun with a text.
func (l *lab) statements(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, query := range l.said {
		if strings.HasPrefix(query, text) {
			n++
		}
	}
	return n
}

var errRefused = errors.New("refused")

// say returns a statement as the database gets it.
func (l *lab) say(query string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, query)
	if l.refuse != "" && l.times != 0 && strings.Contains(query+"$", l.refuse) {
		l.times--
		return "", errRefused
	}
	return strings.ReplaceAll(query, sql.SQLite.Text("NOW"), fmt.Sprint(l.now)), nil
}

type labConn struct {
	dbdriver.Conn
	l *lab
}

func (c *labConn) PrepareContext(ctx context.Context, query string) (dbdriver.Stmt, error) {
	query, err := c.l.say(query)
	if err != nil {
		return nil, err
	}
	stmt, err := c.Conn.(dbdriver.ConnPrepareContext).PrepareContext(ctx, query)
	return labStmt{stmt, c.l, query}, err
}

// labStmt is one of which the test may refuse the rows behind the first: "AFTER" and its
// text.
type labStmt struct {
	dbdriver.Stmt
	l     *lab
	query string
}

func (s labStmt) ExecContext(ctx context.Context, args []dbdriver.NamedValue) (dbdriver.Result, error) {
	return s.Stmt.(dbdriver.StmtExecContext).ExecContext(ctx, args)
}

func (s labStmt) QueryContext(ctx context.Context, args []dbdriver.NamedValue) (dbdriver.Rows, error) {
	rows, err := s.Stmt.(dbdriver.StmtQueryContext).QueryContext(ctx, args)
	return &labRows{Rows: rows, stmt: s}, err
}

type labRows struct {
	dbdriver.Rows
	stmt labStmt
	read int
}

func (r *labRows) Next(row []dbdriver.Value) error {
	r.read++
	if r.read > 1 {
		_, err := r.stmt.l.say("AFTER " + r.stmt.query)
		if err != nil {
			return err
		}
	}
	return r.Rows.Next(row)
}

func (c *labConn) BeginTx(ctx context.Context, o dbdriver.TxOptions) (dbdriver.Tx, error) {
	if o.Isolation != 0 {
		return nil, errors.New("SQLite has one isolation only")
	}
	if _, err := c.l.say("BEGIN"); err != nil {
		return nil, err
	}
	tx, err := c.Conn.(dbdriver.ConnBeginTx).BeginTx(ctx, o)
	return labTx{tx, c.l}, err
}

type labTx struct {
	dbdriver.Tx
	l *lab
}

func (t labTx) Commit() error {
	if _, err := t.l.say("COMMIT"); err != nil {
		return errors.Join(err, t.Tx.Rollback())
	}
	return t.Tx.Commit()
}

// open makes a driver on the database, with the tables made. When the test ends it has given
// all connections back.
func (l *lab) open() *driver {
	l.t.Helper()
	handle := dbsql.OpenDB(l)
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, DB: handle})
	if err != nil {
		l.t.Fatal(err)
	}
	d := newDriver(db)
	if err := d.tables.Make(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := d.Close(); err != nil {
			l.t.Error(err)
		}
		if n := handle.Stats().InUse; n > 0 {
			l.t.Errorf("%d connections were not given back", n)
		}
		handle.Close()
	})
	return d
}

// put writes a row: "nonce seq token until places", of key k unless said otherwise.
func (l *lab) put(rows ...string) {
	l.t.Helper()
	for _, row := range rows {
		f := append(strings.Fields(row), "k")
		key := f[5]
		if key == "''" {
			key = ""
		}
		if _, err := l.db.Exec("INSERT INTO sync_claims (nonce, seq, token, until, places, k, owner) VALUES (?, ?, ?, ?, ?, ?, ?)", f[0], f[1], f[2], f[3], f[4], key, "owner-"+f[0]); err != nil {
			l.t.Fatal(err)
		}
	}
}

// rows are what is stored: "nonce:token:until" by their order.
func (l *lab) rows() string {
	l.t.Helper()
	rows, err := l.db.Query("SELECT nonce, token, until FROM sync_claims ORDER BY seq, nonce")
	if err != nil {
		l.t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var nonce string
		var token, until int64
		if err := rows.Scan(&nonce, &token, &until); err != nil {
			l.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s:%d:%d", nonce, token, until))
	}
	return strings.Join(all, " ")
}

// count is that of the stripe of k.
func (l *lab) count() (n int64) {
	l.t.Helper()
	if err := l.db.QueryRow("SELECT seq FROM sync_stripes WHERE id = ?", sql.StripeOf("k")).Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

var asked = dsync.Request{Key: "k", Owner: "me", Nonce: "n", TTL: 10 * time.Second, Limit: 1, Timeout: 10 * time.Second}

// What is in the queue decides who is granted; what has ended is not in the way, and goes.
func TestWhoIsGranted(t *testing.T) {
	for what, c := range map[string]struct {
		rows  []string
		limit int
		err   error
		left  string // of the rows before, if it is granted; else all
	}{
		"nobody":                        {nil, 1, nil, ""},
		"a holder":                      {[]string{"a 1 7 1001 1"}, 1, fault.Held, "a:7:1001"},
		"one that has just ended":       {[]string{"a 1 7 1000 1"}, 1, nil, ""},
		"one that waits":                {[]string{"a 1 0 1001 1"}, 1, fault.Held, "a:0:1001"},
		"one of two":                    {[]string{"a 1 7 1001 2"}, 2, nil, "a:7:1001 "},
		"two of two":                    {[]string{"a 1 7 1001 2", "b 2 8 1001 2"}, 2, fault.Held, "a:7:1001 b:8:1001"},
		"two of two, of which one over": {[]string{"a 1 7 1000 2", "b 2 8 1001 2"}, 2, nil, "b:8:1001 "},
		"two of three":                  {[]string{"a 1 7 1001 3", "b 2 8 1001 3"}, 3, nil, "a:7:1001 b:8:1001 "},
		"another limit":                 {[]string{"a 1 7 1001 2"}, 1, fault.Conflict, "a:7:1001"},
		"that of one that has ended":    {[]string{"a 1 7 1000 2"}, 1, nil, ""},
		"another key":                   {[]string{"a 1 7 1001 1 kk"}, 1, nil, "a:7:1001 "},
		"another key's that has ended":  {[]string{"a 1 7 1000 1 kk", "b 2 7 1000 1"}, 1, nil, "a:7:1000 "},
		"the claim itself":              {[]string{"n 1 7 1001 1"}, 1, fault.Conflict, "n:7:1001"},
	} {
		l := newLab(t)
		d := l.open()
		l.put(c.rows...)
		r := asked
		r.Limit = c.limit
		claim, start := d.Claim(r), time.Now()
		g, err := claim.Acquire(t.Context(), false)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", what, err, c.err)
		}
		want := c.left
		if err == nil {
			want += fmt.Sprintf("n:%d:11000", l.count())
			if g.Token != uint64(l.count()) || g.Until.Before(start.Add(r.TTL)) || g.Until.After(time.Now().Add(r.TTL)) {
				t.Errorf("%s: granted %+v, want token %d", what, g, l.count())
			}
		}
		if c.err == fault.Held && !strings.Contains(err.Error(), `owner "owner-a", token `) {
			t.Errorf("%s: %v, want who holds it", what, err)
		}
		if rows := l.rows(); rows != want {
			t.Errorf("%s: rows %s, want %s", what, rows, want)
		}
		if c.err == nil || what == "the claim itself" {
			continue
		}
		// Nothing is left of it, so there is nothing to keep out either.
		if err := claim.Release(t.Context()); err != nil || l.rows() != want {
			t.Errorf("%s: after a release, %v: %s, want %s", what, err, l.rows(), want)
		}
	}
}

// A statement that is refused leaves nothing; a commit without an answer leaves a doubt,
// and its release a row that keeps the request out when it is late.
func TestATryThatIsRefused(t *testing.T) {
	for at, doubt := range map[string]bool{
		"BEGIN": false, "UPDATE sync_stripes": false, "SELECT nonce": false, "DELETE FROM sync_claims": false, "INSERT INTO sync_claims": false, "COMMIT": true,
	} {
		l := newLab(t)
		d := l.open()
		l.put("a 1 7 1000 1", "old 2 0 1000 0 ''", "new 3 0 1001 0 ''")
		before := l.rows()
		first := d.Claim(asked)
		l.fail(at, 1)
		_, err := first.Acquire(t.Context(), false)
		want := fault.Unavailable
		if doubt {
			want = fault.UnknownOutcome
		}
		if !errors.Is(err, want) || !errors.Is(err, errRefused) || l.rows() != before {
			t.Errorf("%s: %v, rows %s, want %v and %s", at, err, l.rows(), want, before)
		}
		if err := first.Release(t.Context()); err != nil {
			t.Errorf("%s: release: %v", at, err)
		}
		if doubt {
			before = "n:0:601000 a:7:1000 new:0:1001" // the old refusal is over
		}
		if l.rows() != before {
			t.Errorf("%s: rows %s after the release, want %s", at, l.rows(), before)
		}
		late := d.Claim(asked).(*claim)
		err = d.in(t.Context(), late.stripe, func(tx *tx) error { _, err := late.enter(t.Context(), tx, false); return err })
		if errors.Is(err, dsync.ErrLost) != doubt || (err != nil) != doubt {
			t.Errorf("%s: the request again: %v", at, err)
		}
	}
}

// A waiter has room when too few live claims are before it, or behind it and hold.
func TestWhereAWaiterStands(t *testing.T) {
	for what, c := range map[string]struct {
		rows  []string
		limit int
		first bool
		next  time.Duration
		err   error
	}{
		"alone":                    {[]string{"n 5 0 1001 1"}, 1, true, 10 * time.Second, nil},
		"its time is over":         {[]string{"n 5 0 1000 1"}, 1, false, 0, dsync.ErrLost},
		"not there":                {nil, 1, false, 0, dsync.ErrLost},
		"behind one":               {[]string{"a 1 7 1500 1", "n 5 0 1001 1"}, 1, false, 500 * time.Millisecond, nil},
		"behind two":               {[]string{"a 1 7 1500 1", "b 2 0 1300 1", "n 5 0 1001 1"}, 1, false, 300 * time.Millisecond, nil},
		"behind one that is over":  {[]string{"a 1 7 1000 1", "n 5 0 1001 1"}, 1, true, 10 * time.Second, nil},
		"one of two places":        {[]string{"a 1 7 1500 2", "n 5 0 1001 2"}, 2, true, 500 * time.Millisecond, nil},
		"two places taken":         {[]string{"a 1 7 1500 2", "b 2 8 1400 2", "n 5 0 1001 2"}, 2, false, 400 * time.Millisecond, nil},
		"before one that waits":    {[]string{"n 5 0 1001 1", "z 9 0 1500 1"}, 1, true, 10 * time.Second, nil},
		"before one that holds":    {[]string{"n 5 0 1001 1", "z 9 9 1500 1"}, 1, false, 500 * time.Millisecond, nil},
		"before one that has held": {[]string{"n 5 0 1001 1", "z 9 9 1000 1"}, 1, true, 10 * time.Second, nil},
	} {
		l := newLab(t)
		d := l.open()
		l.put(c.rows...)
		r := asked
		r.Limit = c.limit
		first, next, seen, err := d.Claim(r).(*claim).look(t.Context())
		if first != c.first || next != c.next || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, %v, %v, want %v, %v, %v", what, first, next, err, c.first, c.next, c.err)
		}
		if err == nil && (seen != l.count() || !strings.Contains(l.rows(), "n:0:11000")) {
			t.Errorf("%s: seen %d of %d, rows %s", what, seen, l.count(), l.rows())
		}
	}
	l := newLab(t)
	d := l.open()
	l.put("n 5 0 1001 1")
	for _, at := range []string{"SELECT id, seq", "UPDATE sync_claims", "SELECT nonce"} {
		l.fail(at, 1)
		if first, _, _, err := d.Claim(asked).(*claim).look(t.Context()); first || !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s refused: %v, %v", at, first, err)
		}
	}
}

// A turn is taken if there is still room, and given again if its answer was lost.
func TestATurn(t *testing.T) {
	for what, c := range map[string]struct {
		rows  []string
		limit int
		token int64 // -1: a new one
		err   error
	}{
		"first":                       {[]string{"n 5 0 1001 1"}, 1, -1, nil},
		"not there":                   {[]string{"a 1 7 1001 1"}, 1, 0, dsync.ErrLost},
		"its time is over":            {[]string{"n 5 0 1000 1"}, 1, 0, dsync.ErrLost},
		"behind another":              {[]string{"a 1 7 1001 1", "n 5 0 1001 1"}, 1, 0, nil},
		"the second of two":           {[]string{"a 1 7 1001 2", "n 5 0 1001 2"}, 2, -1, nil},
		"the third of two":            {[]string{"a 1 7 1001 2", "b 2 8 1001 2", "n 5 0 1001 2"}, 2, 0, nil},
		"granted before":              {[]string{"n 5 6 1001 1"}, 1, 6, nil},
		"granted before, one of two":  {[]string{"a 1 7 1001 2", "n 5 6 1001 2"}, 2, 6, nil},
		"granted, and again to other": {[]string{"n 5 6 1001 1", "z 9 9 1001 1"}, 1, 0, dsync.ErrLost},
	} {
		l := newLab(t)
		d := l.open()
		l.put(c.rows...)
		r := asked
		r.Limit = c.limit
		cl, before := d.Claim(r).(*claim), l.rows()
		token, err := cl.take(t.Context())
		if c.token < 0 {
			c.token = l.count()
		}
		if token != c.token || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %d, %v, want %d, %v", what, token, err, c.token, c.err)
		}
		if token > 0 && !strings.Contains(l.rows(), fmt.Sprintf("n:%d:11000", token)) || token == 0 && l.rows() != before {
			t.Errorf("%s: rows %s after %s", what, l.rows(), before)
		}
		if err == nil && cl.doubt {
			t.Errorf("%s: a doubt is left", what)
		}
	}
	for at, want := range map[string]error{"SELECT nonce": fault.Unavailable, "UPDATE sync_claims": fault.Unavailable, "COMMIT": fault.UnknownOutcome} {
		l := newLab(t)
		d := l.open()
		l.put("n 5 0 1001 1")
		cl := d.Claim(asked).(*claim)
		l.fail(at, 1)
		if token, err := cl.take(t.Context()); token != 0 || !errors.Is(err, want) || !cl.doubt {
			t.Errorf("%s refused: %d, %v, doubt %v, want %v", at, token, err, cl.doubt, want)
		}
	}
}

// A grant is renewed while it lasts.
func TestARenewal(t *testing.T) {
	for row, want := range map[string]error{
		"n 5 6 1001 1": nil, "n 5 6 1000 1": dsync.ErrLost, "n 5 0 1001 1": dsync.ErrLost, "a 5 6 1001 1": dsync.ErrLost,
	} {
		l := newLab(t)
		d := l.open()
		l.put(row)
		before, start := l.rows(), time.Now()
		until, err := d.Claim(asked).Renew(t.Context())
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", row, err, want)
		}
		if err == nil && (until.Before(start.Add(asked.TTL)) || until.After(time.Now().Add(asked.TTL)) || l.rows() != "n:6:11000") {
			t.Errorf("%s: until %v, rows %s", row, until, l.rows())
		}
		if err != nil && (!until.IsZero() || l.rows() != before) {
			t.Errorf("%s: until %v, rows %s", row, until, l.rows())
		}
	}
	l := newLab(t)
	d := l.open()
	l.put("n 5 6 1001 1")
	l.fail("UPDATE sync_claims", 1)
	if _, err := d.Claim(asked).Renew(t.Context()); !errors.Is(err, fault.Unavailable) {
		t.Errorf("refused: %v", err)
	}
}

// A release says whether the claim was still there, and leaves nothing of it.
func TestARelease(t *testing.T) {
	for what, c := range map[string]struct {
		rows           []string
		granted, again bool
		doubt          bool
		err            error
		left           string
	}{
		"held":                         {[]string{"n 5 6 1001 1", "z 9 0 1001 1"}, true, false, false, nil, "z:0:1001"},
		"over":                         {[]string{"n 5 6 1000 1"}, true, false, false, dsync.ErrLost, ""},
		"gone":                         {nil, true, false, false, dsync.ErrLost, ""},
		"gone by a release before":     {nil, true, true, false, nil, ""},
		"over, and released before":    {[]string{"n 5 6 1000 1"}, true, true, false, nil, ""},
		"waiting":                      {[]string{"n 5 0 1001 1"}, false, false, false, nil, ""},
		"waiting, over":                {[]string{"n 5 0 1000 1"}, false, false, false, nil, ""},
		"never there":                  {nil, false, false, false, nil, ""},
		"nobody knows":                 {nil, false, false, true, nil, "n:0:601000"},
		"nobody knows, and it is":      {[]string{"n 5 0 1001 1"}, false, false, true, nil, "n:0:601000"},
		"nobody knows, and it was":     {[]string{"n 5 0 1000 1"}, false, false, true, nil, "n:0:601000"},
		"old refusals go":              {[]string{"o 1 0 1000 0 ''", "p 2 0 1001 0 ''"}, false, false, true, nil, "n:0:601000 p:0:1001"},
		"and stay where none is added": {[]string{"o 1 0 1000 0 ''", "n 5 6 1001 1"}, true, false, false, nil, "o:0:1000"},
	} {
		l := newLab(t)
		d := l.open()
		l.put(c.rows...)
		cl := d.Claim(asked).(*claim)
		cl.granted, cl.released, cl.doubt = c.granted, c.again, c.doubt
		if err := cl.Release(t.Context()); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", what, err, c.err)
		}
		if l.rows() != c.left {
			t.Errorf("%s: rows %s, want %s", what, l.rows(), c.left)
		}
	}
	for at, want := range map[string]error{
		"until > ": fault.Unavailable, "WHERE nonce = ?$": fault.Unavailable, "k = '' AND": fault.Unavailable, "INSERT": fault.Unavailable, "COMMIT": fault.UnknownOutcome,
	} {
		l := newLab(t)
		d := l.open()
		l.put("n 5 6 1000 1", "o 6 0 1000 0 ''")
		before := l.rows()
		cl := d.Claim(asked).(*claim)
		cl.granted, cl.doubt = true, true
		l.fail(at, 1)
		if err := cl.Release(t.Context()); !errors.Is(err, want) || errors.Is(err, dsync.ErrLost) || l.rows() != before {
			t.Errorf("%s refused: %v, want %v; rows %s", at, err, want, l.rows())
		}
	}
}

// Who holds is the first claim that was granted and lasts.
func TestTheHolderThatADatabaseNames(t *testing.T) {
	for _, c := range []struct {
		rows []string
		want dsync.Candidate
		left time.Duration
	}{
		{nil, dsync.Candidate{}, 0},
		{[]string{"a 1 7 1250 1"}, dsync.Candidate{Owner: "owner-a", Token: 7}, 250 * time.Millisecond},
		{[]string{"a 1 7 1001 1"}, dsync.Candidate{Owner: "owner-a", Token: 7}, time.Millisecond},
		{[]string{"a 1 7 1000 1"}, dsync.Candidate{}, 0},
		{[]string{"a 1 0 1250 1"}, dsync.Candidate{}, 0},
		{[]string{"a 1 7 1000 1", "b 2 0 1250 1", "z 3 9 1100 1"}, dsync.Candidate{Owner: "owner-z", Token: 9}, 100 * time.Millisecond},
	} {
		l := newLab(t)
		d := l.open()
		l.put(c.rows...)
		got, left, err := d.holder(t.Context(), "k")
		if got != c.want || left != c.left || err != nil {
			t.Errorf("%v: %+v, %v, %v, want %+v, %v", c.rows, got, left, err, c.want, c.left)
		}
		got, err = d.Holder(t.Context(), "k")
		if got != c.want || errors.Is(err, dsync.ErrNoLeader) != (c.want.Token == 0) || (err == nil) != (c.want.Token > 0) {
			t.Errorf("%v: Holder = %+v, %v", c.rows, got, err)
		}
		l.fail("SELECT nonce", 1)
		if _, err := d.Holder(t.Context(), "k"); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%v: refused: %v", c.rows, err)
		}
	}
}

// What lasts below a prefix is listed, in the order of the keys and of the queues.
func TestListOfRows(t *testing.T) {
	rows := []string{"a 1 7 1500 1 p/x", "b 2 0 1001 1 p/x", "c 3 8 1000 1 p/x", "d 1 9 1500 1 p/w", "e 1 9 1500 1 p", "f 1 9 1500 1 p0", "g 1 9 1500 1 o/x"}
	all := []string{"p/w owner-d 9 500ms", "p/x owner-a 7 500ms", "p/x owner-b 0"}
	for what, c := range map[string]struct {
		most int
		want int
		at   string
		err  error
	}{
		"all":           {10, 3, "", nil},
		"the first two": {2, 2, "", nil},
		"refused":       {10, 0, "SELECT k", fault.Unavailable},
	} {
		l := newLab(t)
		d := l.open()
		l.put(rows...)
		l.fail(c.at, 1)
		var got []string
		err := d.List(t.Context(), "p/", func(key string, h dsync.Hold) bool {
			text := fmt.Sprint(key, " ", h.Owner, " ", h.Token)
			if !h.Waiting {
				left := time.Until(h.Until)
				if left > 500*time.Millisecond || left < -30*time.Second {
					t.Errorf("%s: %s for %v", what, key, left)
				}
				text += " 500ms"
			} else if !h.Until.IsZero() {
				t.Errorf("%s: %s waits until %v", what, key, h.Until)
			}
			got = append(got, text)
			return len(got) < c.most
		})
		if strings.Join(got, ", ") != strings.Join(all[:c.want], ", ") || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %q, %v, want %q, %v", what, got, err, all[:c.want], c.err)
		}
	}
}

// A row that somebody else has written, and that can't be read, is an error, and keeps no
// connection.
func TestARowThatCannotBeRead(t *testing.T) {
	l := newLab(t)
	d := l.open()
	l.put("a 1 seven 2000 1")
	for what, read := range map[string]func() error{
		"Holder":  func() error { _, err := d.Holder(t.Context(), "k"); return err },
		"List":    func() error { return d.List(t.Context(), "k", func(string, dsync.Hold) bool { return true }) },
		"Acquire": func() error { _, err := d.Claim(asked).Acquire(t.Context(), false); return err },
	} {
		if err := read(); err == nil || errors.Is(err, dsync.ErrNoLeader) || errors.Is(err, dsync.ErrHeld) {
			t.Errorf("%s: %v", what, err)
		}
		if n := d.db.Stats().InUse; n > 0 {
			t.Errorf("%s: %d connections are kept", what, n)
		}
	}
}

// A queue of which only a part was read is none: the holder may be in the rest.
func TestRowsThatBreakOff(t *testing.T) {
	l := newLab(t)
	d := l.open()
	l.put("x 1 7 1000 1", "a 2 8 1001 1")
	for what, read := range map[string]func() error{
		"Holder": func() error {
			c, err := d.Holder(t.Context(), "k")
			if err == nil && c.Owner != "owner-a" {
				t.Errorf("the holder is %+v", c)
			}
			return err
		},
		"List": func() error { return d.List(t.Context(), "k", func(string, dsync.Hold) bool { return true }) },
		"Acquire": func() error {
			_, err := d.Claim(asked).Acquire(t.Context(), false)
			if errors.Is(err, fault.Held) {
				return nil
			}
			return cmp.Or(err, errors.New("granted beside a holder"))
		},
	} {
		for _, broken := range []bool{false, true} {
			if broken {
				l.fail("AFTER SELECT", 1)
			}
			if err := read(); (err != nil) != broken || broken && !errors.Is(err, fault.Unavailable) {
				t.Errorf("%s, broken off %v: %v", what, broken, err)
			}
		}
	}
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// A claim that waits is granted when there is room, also after an outage, and ends with
// its context, its place or its life.
func TestAWait(t *testing.T) {
	for what, c := range map[string]struct {
		ttl  time.Duration
		then func(l *lab, release func() error, cancel func()) error
		err  error
	}{
		"a release": {time.Minute, func(_ *lab, release func() error, _ func()) error { return release() }, nil},
		"an outage, and a release": {time.Minute, func(l *lab, release func() error, _ func()) error {
			l.fail("UPDATE sync_claims SET until", 3)
			l.poke() // it looks
			eventually(l.t, "the outage is over", func() bool { return l.left() == 0 })
			return release()
		}, nil},
		"an outage of the turn": {time.Minute, func(l *lab, release func() error, _ func()) error {
			l.fail("UPDATE sync_claims SET token", 2)
			return release()
		}, nil},
		"an outage that lasts": {300 * time.Millisecond, func(l *lab, _ func() error, _ func()) error {
			l.fail("UPDATE sync_claims SET until", -1)
			return nil
		}, dsync.ErrLost},
		"its place is deleted": {300 * time.Millisecond, func(l *lab, _ func() error, _ func()) error {
			_, err := l.db.Exec("DELETE FROM sync_claims WHERE nonce = 'n'")
			return err
		}, dsync.ErrLost},
		"given up": {time.Minute, func(_ *lab, _ func() error, cancel func()) error { cancel(); return nil }, context.Canceled},
		"given up in an outage": {time.Minute, func(l *lab, _ func() error, cancel func()) error {
			l.fail("UPDATE sync_claims SET until", -1)
			cancel()
			return nil
		}, context.Canceled},
	} {
		l := newLab(t)
		d := l.open()
		other := asked
		other.Nonce = "a"
		holder := d.Claim(other)
		held, err := holder.Acquire(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := asked
		r.TTL = c.ttl
		claim := d.Claim(r)
		type result struct {
			g   dsync.Grant
			err error
		}
		done := make(chan result, 1)
		go func() {
			g, err := claim.Acquire(ctx, true)
			done <- result{g, err}
		}()
		eventually(t, "it waits", func() bool { return strings.Contains(l.rows(), "n:0:") })
		eventually(t, "it looks", func() bool { return l.statements("SELECT nonce") >= 3 }) // two entered before
		if err := c.then(l, func() error { return holder.Release(t.Context()) }, cancel); err != nil {
			t.Fatal(err)
		}
		got := <-done
		if !errors.Is(got.err, c.err) || (got.err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", what, got.err, c.err)
		}
		if l.left() > 0 {
			t.Errorf("%s: %d refusals are left", what, l.left())
		}
		l.fail("", 0)
		if n := l.statements("BEGIN"); what == "a release" && n != 4 {
			t.Errorf("%s: %d transactions, want one each to enter, to release and to take", what, n)
		}
		if got.err == nil && (got.g.Token <= held.Token || time.Until(got.g.Until) > c.ttl || l.rows() != fmt.Sprintf("n:%d:61000", got.g.Token)) {
			t.Errorf("%s: %+v after %+v, rows %s", what, got.g, held, l.rows())
		}
		if err := claim.Release(t.Context()); err != nil {
			t.Errorf("%s: release: %v", what, err)
		}
		if strings.Contains(l.rows(), "n:") {
			t.Errorf("%s: rows %s after the release", what, l.rows())
		}
	}
}

// A watch tells each grant and each end, also one that nobody makes, and fails with the
// database.
func TestAWatchOfTheRows(t *testing.T) {
	l := newLab(t)
	d := l.open()
	claim := d.Claim(asked)
	var seen []string
	next := []func(){
		func() { _, _ = claim.Acquire(t.Context(), false) }, // nobody
		func() { _ = claim.Release(t.Context()) },           // me
		func() { l.put("a 1 7 1050 1"); l.poke() },          // nobody
		func() { l.set(1050) },                              // a, for 50 ms
		func() { l.fail("SELECT nonce", -1); l.poke() },     // nobody
	}
	failed := make(chan error, 1)
	events := make(chan dsync.Candidate)
	go func() {
		failed <- d.Watch(t.Context(), "k", func(c dsync.Candidate) {
			select {
			case events <- c:
			case <-t.Context().Done():
			}
		})
	}()
	last := "-"
	for i := 0; i < len(next); {
		select {
		case c := <-events:
			if c.Owner == last {
				continue // told again
			}
			last = c.Owner
			seen = append(seen, c.Owner)
			if i == 0 { // nothing changes, so nothing is told
				asked := l.statements("SELECT id, seq")
				eventually(t, "the tail asks", func() bool { return l.statements("SELECT id, seq") >= asked+5 })
				select {
				case <-events:
					t.Error("told again of nobody")
				default:
				}
			}
			next[i]()
			i++
		case err := <-failed:
			t.Fatalf("after %q: %v", seen, err)
		case <-time.After(30 * time.Second):
			t.Fatalf("nothing told after %q", seen)
		}
	}
	if got := strings.Join(seen, ", "); got != ", me, , owner-a, " {
		t.Errorf("saw %q", got)
	}
	select {
	case err := <-failed:
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("Watch = %v, want unavailable", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("a watch goes on without its database")
	}
}

// poke changes the count of the stripe.
func (l *lab) poke() {
	if _, err := l.db.Exec("UPDATE sync_stripes SET seq = seq + 1 WHERE id = ?", sql.StripeOf("k")); err != nil {
		l.t.Error(err)
	}
}

// Tables that can't be looked for are said by each call.
func TestTablesThatCannotBeMade(t *testing.T) {
	l := newLab(t)
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, DB: dbsql.OpenDB(l)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.DB.Close()
	d := newDriver(db)
	l.fail("SELECT COUNT", -1)
	for what, call := range map[string]func() error{
		"Acquire": func() error { _, err := d.Claim(asked).Acquire(t.Context(), false); return err },
		"Renew":   func() error { _, err := d.Claim(asked).Renew(t.Context()); return err },
		"ask":     func() error { _, err := d.ask(t.Context()); return err },
		"Release": func() error { return d.Claim(asked).Release(t.Context()) },
		"Holder":  func() error { _, err := d.Holder(t.Context(), "k"); return err },
		"List":    func() error { return d.List(t.Context(), "k", func(string, dsync.Hold) bool { return true }) },
		"Watch":   func() error { return d.Watch(t.Context(), "k", func(dsync.Candidate) {}) },
	} {
		if err := call(); !errors.Is(err, fault.Unavailable) || !errors.Is(err, errRefused) {
			t.Errorf("%s: %v, want unavailable", what, err)
		}
	}
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if err := db.DB.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Ping(t.Context()); err == nil {
		t.Error("a database that was closed gives a sign of life")
	}
}
