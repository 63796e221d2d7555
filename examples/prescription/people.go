package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/contract/identity"
	"github.com/ward-health/ward/contract/workflow"
	"github.com/ward-health/ward/contract/workflow/library"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/prescription"
	"github.com/ward-health/ward/wallet"
)

const patientName identity.Name = "p-7f3a@north"

// people are those who take part. In real life each has a program of his own,
// with his own wallet, that speaks to his own hospital's node over HTTPS; see
// examples/emr.
type people struct {
	net *devnet.Devnet

	patient     *ward.Client
	lee, okafor *ward.Client // physicians of two hospitals
	li, kim     *ward.Client // pharmacists who review there
	green, blue *ward.Client // pharmacies
	rider       *ward.Client // a courier
	inspector   *ward.Client // the regulator
}

// meet puts the definition in force and registers everybody.
func meet(ctx context.Context, net *devnet.Devnet) (*people, error) {
	p := &people{net: net}
	physician, pharmacist := prescription.Attribute(prescription.Physician), prescription.Attribute(prescription.Pharmacist)
	pharmacy, courier := prescription.Attribute(prescription.Pharmacy), prescription.Attribute(prescription.Courier)
	author := identity.Attribute{Name: identity.Author}
	for _, who := range []struct {
		client     **ward.Client
		name       identity.Name
		attributes []identity.Attribute
	}{
		{&p.patient, patientName, nil},
		{&p.lee, "dr.lee@north", []identity.Attribute{physician, author}},
		{&p.okafor, "dr.okafor@east", []identity.Attribute{physician, author}},
		{&p.li, "li@north", []identity.Attribute{pharmacist}},
		{&p.kim, "kim@east", []identity.Attribute{pharmacist}},
		{&p.green, "green@south", []identity.Attribute{pharmacy, author}},
		{&p.blue, "blue@west", []identity.Attribute{pharmacy, author}},
		{&p.rider, "rider@south", []identity.Attribute{courier}},
		{&p.inspector, "inspector@west", []identity.Attribute{{Name: workflow.Regulator}}},
	} {
		c, err := p.enrol(ctx, who.name, who.attributes...)
		if err != nil {
			return nil, err
		}
		*who.client = c
	}
	return p, p.agree(ctx, p.patient)
}

// enrol registers a name on the word of its member, which attests what it is.
func (p *people) enrol(ctx context.Context, name identity.Name, attributes ...identity.Attribute) (*ward.Client, error) {
	w, err := wallet.Generate(p.net.Consortium().Chain, name)
	if err != nil {
		return nil, err
	}
	for i := range p.net.Len() {
		if p.net.Name(i) != name.Org() {
			continue
		}
		c, err := ward.New(ward.Options{Consortium: p.net.Consortium(), Wallet: w, Nodes: p.net.Nodes(i)})
		if err != nil {
			return nil, err
		}
		member, err := p.net.Key(i)
		if err != nil {
			return nil, err
		}
		return c, c.Register(ctx, member, false, attributes...)
	}
	return nil, fmt.Errorf("no member %q", name.Org())
}

// agree has one member propose what a prescription is, and others endorse it.
func (p *people) agree(ctx context.Context, c *ward.Client) error {
	text := library.Prescription()
	d, err := workflow.Compile(text)
	if err != nil {
		return err
	}
	for i := range p.net.Consortium().CheckpointThreshold {
		member, err := p.net.Key(i)
		if err != nil {
			return err
		}
		if i == 0 {
			err = c.DefineFlow(ctx, member, text)
		} else {
			err = c.EndorseFlow(ctx, member, workflow.VersionArgs{Definition: d.Name, Version: d.Version, Hash: d.Hash()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read opens a prescription for somebody who has it.
func (p *people) read(ctx context.Context, c *ward.Client, id workflow.ID) ([]byte, error) {
	var b bytes.Buffer
	_, err := prescription.Read(ctx, c, id, ward.Purpose{Code: consent.Treatment}, &b)
	return b.Bytes(), err
}

// claimed takes an order from a physician through the review to a pharmacy.
func (p *people) claimed(ctx context.Context, physician, pharmacist, pharmacy *ward.Client, o prescription.Order) (workflow.ID, error) {
	id, err := prescription.Issue(ctx, physician, o)
	if err != nil {
		return "", err
	}
	for _, step := range []func() error{
		func() error { _, err := prescription.Allow(ctx, p.patient, id, pharmacist.Name()); return err },
		func() error { return prescription.Review(ctx, pharmacist, id) },
		func() error { return prescription.Approve(ctx, pharmacist, id) },
		func() error { return prescription.Offer(ctx, p.patient, id, pharmacy.Name()) },
		func() error { return prescription.Claim(ctx, pharmacy, id) },
	} {
		if err := step(); err != nil {
			return "", err
		}
	}
	return id, nil
}
