// Package eventsuites runs the test suites of two other libraries of messages,
// Watermill's universal one and Go CDK's for pubsub, on every backend of event,
// through adapters to their interfaces. What an adapter has to add, because event
// does it in another way, is listed beside it with the reason, and a test fails
// when it is no longer so.
package eventsuites
