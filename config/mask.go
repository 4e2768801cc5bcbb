package config

import (
	"regexp"
	"strings"
)

// mask hides the secrets that a text contains, whatever its key: passwords in
// URLs and connection strings, private keys, tokens of known forms. known says
// that the text was read as a connection string.
func mask(s string) (masked string, known bool) {
	if strings.Contains(s, "PRIVATE KEY") || tokenForm.MatchString(s) {
		return redacted, true
	}
	masked, urls := maskURLs(s)
	masked, login := maskLogin(masked)
	masked, pairs := maskPairs(masked)
	masked = schemeForm.ReplaceAllString(masked, "${1} "+redacted)
	return masked, urls || login || pairs
}

var (
	// tokenForm is what tokens look like that say what they are: JSON Web Tokens,
	// and those of GitHub, GitLab, Slack, AWS, Google, Stripe, OpenAI and npm.
	tokenForm = regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*|\b(gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|(AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|[sr]k_(live|test)_\w{10,}|sk-[\w-]{20,}|npm_\w{30,})`)

	// schemeForm is a value of the Authorization header (RFC 9110, 11.4).
	schemeForm = regexp.MustCompile(`(?i)\b(bearer|basic|digest|negotiate|dpop)[ \t]+[^\s"',;]+`)

	// loginForm is the beginning of a MySQL address: user:password@.
	loginForm = regexp.MustCompile(`^[^\s:/@=]*:`)

	// pairForm begins a pair of a connection string (libpq, ADO.NET, Azure,
	// StackExchange.Redis) and of a query: password=, ;Account Key =, &token=.
	pairForm = regexp.MustCompile(`(^|[\s;,?&#])(-{0,2}[A-Za-z][\w.-]*(?: [A-Za-z][\w.-]*)?)\s*=`)
)

// maskURLs hides the user information of URLs: the password, and for http the
// user too where there is no password, since it is then a token.
func maskURLs(s string) (string, bool) {
	var out strings.Builder
	found := false
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			out.WriteString(s)
			return out.String(), found
		}
		found = true
		scheme := s[:i]
		scheme = strings.ToLower(scheme[strings.LastIndexFunc(scheme, notScheme)+1:])
		out.WriteString(s[:i+3])
		s = s[i+3:]
		rest := s
		if next := strings.Index(s, "://"); next >= 0 { // several URLs: up to where the scheme of the next begins
			rest = s[:strings.LastIndexFunc(s[:next], notScheme)+1]
		}
		at := userinfoEnd(rest)
		if at < 0 {
			continue
		}
		user, _, both := strings.Cut(s[:at], ":")
		switch {
		case both:
			out.WriteString(user + ":" + redacted)
		case scheme == "http" || scheme == "https":
			out.WriteString(redacted)
		default:
			out.WriteString(user)
		}
		s = s[at:]
	}
}

func notScheme(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '-' || r == '.')
}

// userinfoEnd returns where the user information of what follows "://" ends, -1
// if there is none. A password may hold an '@', and, though it must not, a '/'.
func userinfoEnd(s string) int {
	if i := strings.IndexAny(s, " \t\r\n\"'<>"); i >= 0 {
		s = s[:i]
	}
	authority := s
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		authority = s[:i]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		return at
	}
	_, port, ok := strings.Cut(authority, ":")
	if ok && !strings.HasPrefix(authority, "[") && strings.Trim(port, "0123456789") != "" {
		return strings.LastIndexByte(s, '@') // that was no port
	}
	return -1
}

// maskLogin hides the password of user:password@tcp(host)/database.
func maskLogin(s string) (string, bool) {
	m := loginForm.FindString(s)
	at := strings.LastIndexByte(s, '@')
	if m == "" || at < len(m) || strings.HasPrefix(s[len(m):], "//") || strings.ContainsAny(s[len(m):at], " \t\r\n") {
		return s, false
	}
	if scheme := strings.ToLower(m); scheme == "mailto:" || scheme == "sip:" || scheme == "sips:" || scheme == "xmpp:" {
		return s, false
	}
	return m + redacted + s[at:], true
}

// maskPairs hides the values of pairs with secret names. A value goes on to the
// next pair or the end of the text: separators may be part of a password.
func maskPairs(s string) (string, bool) {
	all := pairForm.FindAllStringSubmatchIndex(s, -1)
	var out strings.Builder
	from := 0
	for i, m := range all {
		name := strings.TrimLeft(s[m[4]:m[5]], "-")
		if !secretName(name) && !secretText(name) {
			continue
		}
		end := len(s)
		if i+1 < len(all) {
			end = all[i+1][0]
		}
		out.WriteString(s[from:m[1]] + redacted)
		from = end
	}
	out.WriteString(s[from:])
	return out.String(), len(all) > 0
}
