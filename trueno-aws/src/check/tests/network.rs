use serde_json::json;

use super::*;

const UNASSOCIATED: &str = "ec2.address.unassociated";
const DETACHED: &str = "ec2.network-interface.detached";

fn address() -> AddressFacts {
    AddressFacts {
        public_ip: Some("203.0.113.7".into()),
        association_id: None,
        instance_id: None,
        network_interface_id: None,
    }
}

fn look_at(region: &str, facts: &AddressFacts) -> Evaluation {
    look(UNASSOCIATED, &[resource("eipalloc-1", region, facts)])
}

#[test]
fn an_address_that_nothing_uses_saves_its_price() {
    let seen = finding(look_at(US, &address()));
    assert_eq!(seen.monthly_saving.amount().unwrap().micros, 3_650_000);
    assert_eq!(seen.conflict_group.as_deref(), Some("address/eipalloc-1"));
    assert_eq!(
        serde_json::to_value(seen.evidence).unwrap(),
        json!({"associated": false, "public_ip": "203.0.113.7"})
    );
    assert_eq!(saving(look_at(UNPRICED, &address())), None);
}

#[test]
fn an_address_that_something_uses_is_no_finding() {
    let id = || Some("x-1".to_owned());
    for facts in [
        AddressFacts {
            association_id: id(),
            ..address()
        },
        AddressFacts {
            instance_id: id(),
            ..address()
        },
        AddressFacts {
            network_interface_id: id(),
            ..address()
        },
    ] {
        assert_clear(look_at(US, &facts));
    }
    let empty = AddressFacts {
        instance_id: Some(String::new()),
        ..address()
    };
    assert_eq!(saving(look_at(US, &empty)), Some(3_650_000));
}

fn interface(status: &str, requester_managed: bool) -> Evaluation {
    let facts = NetworkInterfaceFacts {
        status: status.into(),
        requester_managed,
        interface_type: Some("interface".into()),
    };
    look(DETACHED, &[resource("eni-1", UNPRICED, &facts)])
}

#[test]
fn a_detached_interface_is_found_and_saves_nothing_anywhere() {
    let seen = finding(interface("available", false));
    let Saving::Known { amount, origin } = &seen.monthly_saving else {
        panic!("that an interface is free is known");
    };
    assert_eq!(amount.micros, 0);
    assert_eq!(origin.source, "https://aws.amazon.com/vpc/pricing/");
    let group = seen.conflict_group.as_deref();
    assert_eq!(group, Some("network-interface/eni-1"));
    assert_clear(interface("available", true));
    for status in ["in-use", "attaching", "detaching", "associated"] {
        assert_clear(interface(status, false));
    }
}
