// Package driver is for authors of backends of package event, which its users do
// not need. It has the abilities that a backend may have besides those of
// event.Driver and event.Member, each an interface that the stream looks for, and
// what several backends share: the encoded form of records.
//
// Import it as eventdriver. Package eventtest checks a backend, and learns from
// its Features what to check.
package driver
