package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/strictjson"
)

// value is what a document holds: JSON, or a text without a type after "=".
func value(t *testing.T, s string) *tree {
	t.Helper()
	if text, is := strings.CutPrefix(s, "="); is {
		return &tree{kind: Text, text: text}
	}
	v, err := parseTree([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

// What each value can be taken for, and what it can't: "" is no.
func TestWhatAValueCanBeTakenFor(t *testing.T) {
	ninety := strings.Repeat("0", 97)
	for _, c := range []struct{ value, boolean, integer, unsigned, float, duration string }{
		{`true`, "true", "", "", "", ""},
		{`false`, "false", "", "", "", ""},
		{`null`, "", "", "", "", ""},
		{`"true"`, "", "", "", "", ""},
		{`"5"`, "", "", "", "", ""},
		{`"5s"`, "", "", "", "", "5s"},
		{`[1]`, "", "", "", "", ""},
		{`{}`, "", "", "", "", ""},
		{`0`, "", "0", "0", "0", ""},
		{`-0`, "", "0", "0", "0", ""},
		{`1`, "", "1", "1", "1", ""},
		{`-1`, "", "-1", "", "-1", ""},
		{`1.5`, "", "", "", "1.5", ""},
		{`80.0`, "", "80", "80", "80", ""},
		{`-80.0`, "", "-80", "", "-80", ""},
		{`1e3`, "", "1000", "1000", "1000", ""},
		{`1E3`, "", "1000", "1000", "1000", ""},
		{`15e-1`, "", "", "", "1.5", ""},
		{`9223372036854775807`, "", "9223372036854775807", "9223372036854775807", "9.223372036854775807e18", ""},
		{`9223372036854775808`, "", "", "9223372036854775808", "9.223372036854775808e18", ""},
		{`-9223372036854775808`, "", "-9223372036854775808", "", "-9.223372036854775808e18", ""},
		{`9223372036854775807.0`, "", "9223372036854775807", "9223372036854775807", "9.223372036854775807e18", ""},
		{`9223372036854775808.0`, "", "", "9223372036854775808", "9.223372036854775808e18", ""},
		{`18446744073709551615`, "", "", "18446744073709551615", "18446744073709551615", ""},
		{`18446744073709551616`, "", "", "", "18446744073709551616", ""},
		{`1.8446744073709551615e19`, "", "", "18446744073709551615", "18446744073709551615", ""},
		{`3.6e19`, "", "", "", "3.6e19", ""},
		{`1e0001`, "", "10", "10", "10", ""},
		{`1e00001`, "", "", "", "10", ""}, // not worth the digits
		{`1.` + ninety + `0`, "", "1", "1", "1", ""},
		{`1.` + ninety + `00`, "", "", "", "1", ""},
		{`=true`, "true", "", "", "", ""},
		{`=1`, "true", "1", "1", "1", ""},
		{`=0`, "false", "0", "0", "0", "0s"},
		{`=5s`, "", "", "", "", "5s"},
		{`=-5`, "", "-5", "", "-5", ""},
		{`=1.0`, "", "", "", "1", ""},
		{`=NaN`, "", "", "", "", ""},
		{`=Inf`, "", "", "", "", ""},
		{`=x`, "", "", "", "", ""},
		{`=`, "", "", "", "", ""},
	} {
		v := value(t, c.value)
		check := func(what, want string, got any, ok bool) {
			t.Helper()
			text := ""
			if ok {
				text = fmt.Sprint(got)
			}
			if want != "" && what == "float" {
				var f float64
				fmt.Sscan(want, &f)
				want = fmt.Sprint(f)
			}
			if text != want {
				t.Errorf("%s as %s: %q, want %q", c.value, what, text, want)
			}
		}
		b, ok := v.asBool()
		check("bool", c.boolean, b, ok)
		i, ok := v.asInt()
		check("int", c.integer, i, ok)
		u, ok := v.asUint()
		check("uint", c.unsigned, u, ok)
		f, ok := v.asFloat()
		check("float", c.float, f, ok)
		d, ok := v.asDuration()
		check("duration", c.duration, d, ok)
	}
	if n := value(t, "36893488147419103232").integral(); n != nil { // 2^65, which is written without a fraction
		t.Errorf("%v", n)
	}
	if v := value(t, "1e400000"[:4]); math.IsInf(v.f, 0) {
		t.Error("infinity is a number")
	}
}

// How a text without a type becomes a list.
func TestWhatATextExpandsTo(t *testing.T) {
	type list []string
	for text, want := range map[string]list{
		"": {}, " ": {}, "a": {"a"}, "a,b": {"a", "b"}, " a , b ": {"a", "b"}, "a,": {"a", ""}, `["a","b"]`: {"a", "b"}, "[]": {}, "[a": {"[a"}, "{a": {"{a"},
	} {
		v := Value{t: value(t, "="+text)}
		got, err := As[list](v)
		if text == "[a" || text == "{a" {
			if err == nil {
				t.Errorf("%q is %q, want an error", text, got)
			}
		} else if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
	if m, err := As[map[string]string](Value{t: value(t, `={"a":"b"}`)}); err != nil || m["a"] != "b" {
		t.Errorf("%v, %v", m, err)
	}
	if m, err := As[map[string]string](Value{t: value(t, `=a,b`)}); err == nil {
		t.Errorf("a list is %v", m)
	}
}

// A string and what of it stands for something else.
func TestThePiecesOfAString(t *testing.T) {
	long := strings.Repeat("r", maxReference)
	show := func(all []piece) string {
		var b strings.Builder
		for _, p := range all {
			if p.ref {
				b.WriteString("<" + p.text + ">")
			} else {
				b.WriteString("(" + p.text + ")")
			}
		}
		return b.String()
	}
	for s, want := range map[string]string{
		"":                   "",
		"plain":              "",
		"$":                  "",
		"${":                 "",
		"${HOME}":            "",
		"${1a:b}":            "",
		"${:b}":              "",
		"${a:b}":             "<a:b>",
		"${a:b":              "!without its end",
		"${a:}":              "!names nothing",
		"x${a:b}y":           "(x)<a:b>(y)",
		"${a:b}${c:d}":       "<a:b><c:d>",
		"${a:b:c}":           "<a:b:c>",
		"$${a:b}":            "(${a:b})",
		"$$${a:b}":           "($${a:b})",
		"${HOME} ${a:b}":     "(${HOME} )<a:b>",
		"$${x} ${a:b} ${":    "(${x} )<a:b>( ${)",
		"${a:" + long + "}":  "<a:" + long + ">",
		"${a:r" + long + "}": "!4097 bytes",
		"${a+b.c-1:x}":       "<a+b.c-1:x>",
		"${a_b:x}":           "",
		"é${a:b}é":           "(é)<a:b>(é)",
	} {
		all, err := pieces(s)
		if says, bad := strings.CutPrefix(want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), says) || len(err.Error()) > 200 && !strings.Contains(says, "4097") {
				t.Errorf("%.30q: %v, want %q", s, err, says)
			}
		} else if got := show(all); err != nil || got != want {
			t.Errorf("%.30q: %.60s, %v, want %.60s", s, got, err, want)
		}
	}
}

// Where the user information of a URL ends, and what of a text is hidden.
func TestWhatOfATextIsMasked(t *testing.T) {
	for s, want := range map[string]int{
		"": -1, "host/x@y": -1, "u@host": 1, "u:p@host": 3, "u:p@x@host/": 5, "host:80/x@y": -1, "host:8x/y@z": 9,
		"[::1]:x/a@b": -1, "u:p/w@host": 5, "u:p?w@host": 5, "u p@host": -1, " u@host": -1, "\"u@host": -1, "u'p@host": -1, "host?x@y": -1, "host#x@y": -1, "host:/x@y": -1,
	} {
		if got := userinfoEnd(s); got != want {
			t.Errorf("the user of %q ends at %d, want %d", s, got, want)
		}
	}
	for _, c := range []struct {
		s, want string
		known   bool
	}{
		{"plain", "plain", false},
		{"http://host/x", "http://host/x", true},
		{"http://u:p@host/x", "http://u:[redacted]@host/x", true},
		{"https://token@host", "https://[redacted]@host", true},
		{"HTTPS://token@host", "HTTPS://[redacted]@host", true},
		{"http://@host", "http://[redacted]@host", true},
		{"redis://user@host", "redis://user@host", true},
		{"redis://:p@host", "redis://:[redacted]@host", true},
		{"a://u:p@h,b://v:q@i", "a://u:[redacted]@h,b://v:[redacted]@i", true},
		{"a://h b://v:q@i", "a://h b://v:[redacted]@i", true},
		{"a+b-c.1://u:p@h", "a+b-c.1://u:[redacted]@h", true},
		{"x http://t@h", "x http://[redacted]@h", true},
		{"u:p@tcp(h)/d", "u:[redacted]@tcp(h)/d", true},
		{"u:p@x@tcp(h)/d", "u:[redacted]@tcp(h)/d", true},
		{"u:p w@h", "u:p w@h", false},
		{"u/x:p@h", "u/x:p@h", false},
		{"u:@h", "u:[redacted]@h", true},
		{"u:p", "u:p", false},
		{"mailto:a@b", "mailto:a@b", false},
		{"MAILTO:a@b", "MAILTO:a@b", false},
		{"sip:a@b", "sip:a@b", false},
		{"sips:a@b", "sips:a@b", false},
		{"xmpp:a@b", "xmpp:a@b", false},
		{"tel:a@b", "tel:[redacted]@b", true},
		{"password=p", "password=[redacted]", true},
		{"host=h password=p user=u", "host=h password=[redacted] user=u", true},
		{"host=h;Password=p;User=u", "host=h;Password=[redacted];User=u", true},
		{"host=h user=u", "host=h user=u", true},
		{"--password=p", "--password=[redacted]", true},
		{"x --api-key=p", "x --api-key=[redacted]", true},
		{"AccountKey=p", "AccountKey=[redacted]", true},
		{"Account Key = p", "Account Key =[redacted]", true},
		{"key=p", "key=[redacted]", true},
		{"http://h/?a=b&token=p&c=d", "http://h/?a=b&token=[redacted]&c=d", true},
		{"Bearer abc", "Bearer [redacted]", false},
		{"basic abc, x", "basic [redacted], x", false},
		{"bearers abc", "bearers abc", false},
		{"bearer", "bearer", false},
		{"-----BEGIN PRIVATE KEY-----", "[redacted]", true},
		{"-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----", false},
		{"ghp_0123456789abcdef", "[redacted]", true},
		{"ghp_0123456789abcde", "ghp_0123456789abcde", false},
		{"xghp_0123456789abcdef", "xghp_0123456789abcdef", false},
		{"AKIA0123456789ABCDEF", "[redacted]", true},
		{"AKIA0123456789ABCDE", "AKIA0123456789ABCDE", false},
		{"eyJabcdefgh.x.y", "[redacted]", true},
		{"eyJabcdefg.x.y", "eyJabcdefg.x.y", false},
	} {
		if got, known := mask(c.s); got != c.want || known != c.known {
			t.Errorf("%q is shown as %q, known %v, want %q, %v", c.s, got, known, c.want, c.known)
		}
	}
}

// Which neighbours and flags name a secret.
func TestWhatStandsBesideASecret(t *testing.T) {
	for doc, hidden := range map[string]bool{
		`{"name":"DB_PASSWORD","value":"x"}`:     true,
		`{"Name":"DB_PASSWORD","Value":"x"}`:     true,
		`{"key":"token","val":"x"}`:              true,
		`{"header":"Authorization","value":"x"}`: true,
		`{"env":"api_key","value":"x"}`:          true,
		`{"name":"DB_HOST","value":"x"}`:         false,
		`{"label":"DB_PASSWORD","value":"x"}`:    false,
		`{"name":"DB_PASSWORD","text":"x"}`:      false,
		`{"name":["DB_PASSWORD"],"value":"x"}`:   false,
		`{"name":"a","key":"token","value":"x"}`: true,
		`["--password","x"]`:                     true,
		`["-token","x"]`:                         true,
		`["--host","x"]`:                         false,
		`["password","x"]`:                       false,
		`["--password=a","x"]`:                   false,
		`["--password","-v","x"]`:                false,
		`[1,"x"]`:                                false,
	} {
		s, err := ParseSnapshot(nil, []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if got := !strings.Contains(s.String(), `"x"`); got != hidden {
			t.Errorf("%s is shown as %s, want the value hidden: %v", doc, s, hidden)
		}
		type numbers struct{ Value, Val int }
		_, asStruct := As[numbers](s.Get(""))
		_, asMap := As[map[string]int](s.Get(""))
		_, asList := As[[]int](s.Get(""))
		for what, err := range map[string]error{"numbers": asStruct, "a map": asMap, "a list": asList} {
			if said := strings.Contains(fmt.Sprint(err), `"x"`); hidden && said {
				t.Errorf("%s as %s: %v, which tells the secret", doc, what, err)
			}
		}
		for path, v := range s.All() {
			if v.String("") == "x" {
				if got := v.Show() != `"x"`; got != hidden {
					t.Errorf("%s at %s is shown as %s", doc, path, v.Show())
				}
			}
		}
	}
}

// Which values a key hides: all below some, texts below others, amounts never.
func TestWhatAKeyHides(t *testing.T) {
	for _, c := range []struct {
		path, value string
		hidden      bool
	}{
		{"password", `"x"`, true}, {"password", `1`, true}, {"password", `true`, true}, {"password", `""`, true}, {"password", `null`, false}, {"password", `{}`, true},
		{"a.password.b", `"x"`, true}, {"a.passwords.0", `"x"`, true}, {"a.b", `"x"`, false},
		{"max_tokens", `1`, false}, {"max_tokens", `"x"`, true}, {"tokens", `1`, true}, {"min_passwords", `1`, false}, {"max", `1`, false},
		{"auth", `"x"`, true}, {"auth", `1`, false}, {"auth", `{}`, false}, {"auth", `""`, false}, {"auth.mode", `"x"`, false}, {"auth.0", `"x"`, true},
		{"dsn", `"x"`, true}, {"dsn", `"host=x"`, false}, {"connection_string", `"x"`, true}, {"string", `"x"`, false}, {"dsn", `1`, false},
		{"mine", `"x"`, true}, {"mine.a", `"x"`, true}, {"star.any.end", `"x"`, true}, {"star.any.other", `"x"`, false}, {"star.any", `"x"`, false},
		{"password_file", `"x"`, false}, {"secret_id", `"x"`, true}, {"token_id", `"x"`, false}, {"public_key", `"x"`, false}, {"signing_key", `"x"`, true}, {"signing_key", `1`, true},
		{"key", `"x"`, true}, {"key", `1`, false}, {"partition_key", `"x"`, false}, {"sessiontoken", `"x"`, true}, {"dbpasswordfile", `"x"`, false}, {"password2", `"x"`, true},
	} {
		s := new(secrets)
		s.add("mine")
		s.add("star.*.end")
		if got := s.hides(c.path, value(t, c.value)); got != c.hidden {
			t.Errorf("%s: %s is hidden: %v, want %v", c.path, c.value, got, c.hidden)
		}
	}
	if !(*secrets)(nil).secret("password") || (*secrets)(nil).secret("mine") {
		t.Error("without patterns only names count")
	}
	if v := value(t, `"x"`); v.concealed() {
		t.Error("a plain value is concealed")
	} else if v.conceal(); !new(secrets).hides("a", v) || !v.concealed() {
		t.Error("a concealed value is shown")
	}
	for _, doc := range []string{`{"a":{"b":"x"}}`, `[["x"]]`} {
		v := value(t, doc)
		if v.conceal(); !v.concealed() || strings.Contains(string(appendJSON(nil, v, "", &redaction{})), "x") {
			t.Errorf("%s is shown", doc)
		}
	}
}

func TestNamesOfKeys(t *testing.T) {
	for name, want := range map[string]string{
		"A": "a", "MaxConns": "max_conns", "HTTPAddr": "http_addr", "AddrHTTP": "addr_http", "ID": "id", "UserID2": "user_id2", "Max_Conns": "max_conns", "aB": "a_b", "ABc": "a_bc", "É": "é", "X1Y": "x1_y",
	} {
		if got := snake(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for key, want := range map[string][]string{
		"dbPassword2": {"db", "password"}, "API_KEY": {"api", "key"}, "a-b.c": {"a", "b", "c"}, "HTTPToken": {"http", "token"}, "": nil, "12": nil, "tokenX": {"token", "x"},
	} {
		if got := keyWords(key); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	fields := []field{{name: "max_conns"}, {name: "port"}, {name: "a"}}
	for key, want := range map[string]string{
		"max_con": "", "max_conn": "max_conns", "maxconns": "max_conns", "Max-Conns": "max_conns", "maxcons": "max_conns", "prot": "port", "pxrtx": "port", "pxxtx": "", "b": "", "": "",
	} {
		got := nearest(key, fields)
		if key == "max_con" {
			want = "max_conns" // two letters
		}
		if got != want {
			t.Errorf("%q is like %q, want %q", key, got, want)
		}
	}
	for n, want := range map[int]int{64: 0, 65: 64} {
		if got := distance(strings.Repeat("x", n), strings.Repeat("x", n)); got != want {
			t.Errorf("two equal texts of %d differ by %d", n, got)
		}
	}
	for s, want := range map[string]int{strings.Repeat("x", 40): 40, strings.Repeat("x", 41): 43, strings.Repeat("x", 39) + "é": 42, strings.Repeat("x", 38) + "é": 40, strings.Repeat("\x80", 50): 3} {
		if got := clip(s); len(got) != want {
			t.Errorf("%q is cut to %q", s, got)
		}
	}
}

// A namespace's parts, with the nearest that is none.
func TestPartsOfNamespaces(t *testing.T) {
	for part, ok := range map[string]bool{"a": true, "": false, ".": false, "..": false, "...": true, ".a": true, "a.b": true, "a/b": false, "a\x1f": false, "a b": true, "~": true, "a\x7f": false, "é": true} {
		names, err := Namespaces("x", part)
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrInvalid) || ok && (len(names) != 2 || names[1] != "x/"+part) {
			t.Errorf("%q: %q, %v", part, names, err)
		}
	}
	if _, err := Namespaces(); !errors.Is(err, ErrInvalid) {
		t.Errorf("no part: %v", err)
	}
}

// Values of documents are counted and nested to their limits.
func TestTheLimitsOfDocuments(t *testing.T) {
	for n, ok := range map[int]bool{maxNodes - 2: true, maxNodes - 1: true, maxNodes: false} { // values before it
		p := parser{Reader: strictjson.NewReader([]byte("1"), maxDepth), count: n}
		_, parsed := p.value()
		_, sealed := (&sealer{count: n}).seal(&Node{Kind: Null}, 0)
		for what, err := range map[string]error{"parsed": parsed, "sealed": sealed} {
			if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "more than 500000 values") {
				t.Errorf("behind %d others a value is %s: %v", n, what, err)
			}
		}
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for n, ok := range map[int]bool{maxDepth: true, maxDepth + 2: false} {
		_, err := parseTree([]byte(deep(n)))
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "nested deeper than 100") {
			t.Errorf("%d levels: %v", n, err)
		}
	}
	nested := &Node{Kind: Null}
	for range maxDepth {
		nested = &Node{Kind: Array, Items: []*Node{nested}}
	}
	if _, err := seal(nested, nil); err != nil {
		t.Errorf("a format that nests as deep as may be: %v", err)
	}
	if _, err := seal(&Node{Kind: Array, Items: []*Node{nested}}, nil); err == nil {
		t.Error("a format that nests deeper")
	}
	for n, ok := range map[int]bool{maxDepth: true, maxDepth + 1: false} {
		keys := slices.Repeat([]string{"a"}, n)
		if _, err := SetPath([]byte("{}"), Path(keys...), 1); (err == nil) != ok {
			t.Errorf("a path of %d keys: %v", n, err)
		}
	}
	data := append([]byte(`"`), append([]byte(strings.Repeat("x", MaxSize-2)), '"')...)
	if _, err := parseTree(data); err != nil {
		t.Errorf("as many bytes as may be: %v", err)
	}
	if _, err := parseTree(append(data, ' ')); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more bytes: %v", err)
	}
}

// Paths are found whether they are in the index or not, and origins say what is known.
func TestPathsAndOrigins(t *testing.T) {
	for n := longestIndexed - 1; n <= longestIndexed+1; n++ {
		key := strings.Repeat("k", n)
		s, err := ParseSnapshot(nil, []byte(`{"`+key+`":{"b":1},"a":{"b.c":2}}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, in := s.index[key]; in != (n <= longestIndexed) {
			t.Errorf("a path of %d is in the index: %v", n, in)
		}
		for path, want := range map[string]int{key + ".b": 1, `a.b\.c`: 2, "a.b": 0, "a.b.c": 0, key + ".c": 0, "x": 0} {
			if got := s.Get(path).Int(0); got != want {
				t.Errorf("%.20s: %d, want %d", path, got, want)
			}
		}
		if _, in := s.index["a"]; !in {
			t.Error("a short path is not in the index")
		}
	}
	for want, o := range map[string]Origin{"s": {Source: "s"}, "s: p": {Source: "s", Part: "p"}, "s:1": {Source: "s", Line: 1, Column: 2}, "s: p:7": {Source: "s", Part: "p", Line: 7}} {
		if got := o.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for path, want := range map[string]string{"": "(root): (nothing) → (nothing)", "a.b": "a.b: (nothing) → (nothing)"} {
		if got := (Change{Path: path}).String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if o := (*tree)(nil).origin(); o != (Origin{}) {
		t.Errorf("%v", o)
	}
}

func TestTheAgeAtWhichAFileIsWritten(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{0: time.Hour, time.Second: time.Minute, 4 * time.Minute: time.Minute, 8 * time.Minute: 2 * time.Minute} {
		c := &front{}
		c.savedAge = age
		if got := c.saveEvery(); got != want {
			t.Errorf("of %v: every %v, want %v", age, got, want)
		}
	}
}
