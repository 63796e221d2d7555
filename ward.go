// Package ward is what hospital software imports to share medical records that
// the patient controls. A laboratory writes for a patient, she grants, a doctor
// reads, she revokes:
//
//	id, err := laboratory.Put(ctx, ward.Record{Owner: "p-7f3a@north", Type: "clinical/exam/lab", Title: "Blood count"}, report)
//	grant, err := patient.Grant(ctx, ward.Terms{To: "dr.lee@east", Type: "clinical/exam", NotAfter: nextMonth})
//	for e, err := range doctor.Find(ctx, ward.Query{Owner: "p-7f3a@north", Type: "clinical"}) {
//		entry, err := doctor.Get(ctx, e.ID, ward.Purpose{Code: consent.Treatment, Reason: "follow-up"}, w)
//	}
//	for event, err := range patient.History(ctx, "p-7f3a@north") {
//		fmt.Println(event.Time, event.Kind, event.By) // who read what, when
//	}
//	err = patient.Revoke(ctx, grant, ward.RevokeOptions{})
//	verification, err := patient.Verify(ctx)
//
// A [Client] acts for one identity. It holds her keys in a wallet (package
// wallet), trusts a consortium file, and talks to one [Node] or several: those of
// package node/remote over HTTPS. It takes nothing on trust from them:
//
//   - what happened to a transaction is proved by its receipt, under a checkpoint
//     that a threshold of members certified;
//   - what the chain says now is vouched for by f+1 members (package
//     contract/query), and never older than what the client has seen;
//   - the records of an access have the hash that the chain recorded, their
//     capsules are proved, their sealed indexes open with nothing else, and a
//     payload is checked as it streams and has the hash that its author sealed;
//   - members' answers are signed: one that is wrong is named in the log, left
//     out, and replaced by another member's;
//   - the members may change: the client follows, from the file it was given, what
//     they endorsed.
//
// What does not hold is [ErrIntegrity], and nothing of it leaves the client,
// except that of a payload larger than store.WholeSize true bytes in front of the
// fault may have been written. With several nodes the next one is asked.
//
// Transactions are sent again, to one node after the other, until a receipt
// holds; however often they arrive they have one effect. When no receipt comes the
// error matches [ErrUnknown] unless nothing can have happened. Look, then, before
// you do it again.
//
// # Names and types
//
// People are pseudonyms such as p-7f3a@north. Records have a place in a taxonomy,
// such as clinical/exam/lab: a grant on clinical reaches it. Both can be read on
// the chain by its members, and so can the days, sizes and readers of records;
// titles, file names and reasons cannot. SECURITY.md says what is not protected.
//
// # Errors
//
// Errors of this package and the codes of the contracts are for errors.Is: an
// access refused because its grant was revoked matches consent.ErrRevoked.
//
// docs/spec/client.md gives the bytes of sealed indexes, reasons, drafts and parts.
package ward
